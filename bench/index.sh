#!/usr/bin/env bash
# The library beside its peers in one interleaved run (bench/index/compare.py), raw JSON and the picture in bench/results.
# usage: scripts/dev bench index [--data DIR] [NAME...] [OPTION of compare.py...]    NAME: mnist784 photosift1m wordnet256 wordnet768
#        (default: the first three). Makes data that is missing: ../shared/data/make.sh, make_wordnet.py (Debian's wordnet-base).
#        First run: all peers are built, about an hour; --peers hnswlib,svs-lvq8 or --quick: minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
data=build/data names=() options=()
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=$2; shift 2 ;;
    --quick | --cached) options+=("$1"); shift ;;
    --*) options+=("$1" "$2"); shift 2 ;;
    *) names+=("$1"); shift ;;
    esac
done
[ ${#names[@]} -gt 0 ] || names=(mnist784 photosift1m wordnet256)
mkdir -p "$data" bench/results
if [ ! -x build/bench-venv/bin/python ]; then python3 -m venv build/bench-venv; fi
build/bench-venv/bin/pip -q install -r bench/index/requirements.txt
for name in "${names[@]}"; do
    if [ ! -f "$data/$name.gt.i32bin" ]; then
        case $name in
        wordnet*) scripts/deps.sh run; build/bench-venv/bin/python bench/index/make_wordnet.py "$data" --dimensions "${name#wordnet}" ;;
        *)
            [ -x ../shared/data/make.sh ] || { echo "skipped: ../shared/data is not there"; exit 77; }
            ../shared/data/make.sh "$data" "$name" >/dev/null
            ;;
        esac
    fi
    build/bench-venv/bin/python bench/index/compare.py "$data/$name" --json "bench/results/index-$name.json" "${options[@]}"
done
build/bench-venv/bin/python bench/index/picture.py bench/results/index-*.json >bench/results/index.svg
