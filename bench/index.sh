#!/usr/bin/env bash
# The library beside hnswlib in one interleaved run (bench/index/compare.py), on the data sets of ../shared/data.
# usage: scripts/dev bench index [--data DIR] [NAME...]     NAME: photosift1m mnist784 (default: both); makes the data when missing
set -euo pipefail
cd "$(dirname "$0")/.."
data=build/data names=()
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=$2; shift 2 ;;
    *) names+=("$1"); shift ;;
    esac
done
[ ${#names[@]} -gt 0 ] || names=(mnist784 photosift1m)
[ -x ../shared/data/make.sh ] || { echo "skipped: ../shared/data is not there"; exit 77; }
mkdir -p "$data" bench/results
../shared/data/make.sh "$data" "${names[@]}" >/dev/null
if [ ! -x build/bench-venv/bin/python ]; then python3 -m venv build/bench-venv; fi
build/bench-venv/bin/pip -q install numpy hnswlib psutil
for name in "${names[@]}"; do
    build/bench-venv/bin/python bench/index/compare.py "$data/$name" --lib build/release/libfreshet.so --json "bench/results/index-$name.json"
done
