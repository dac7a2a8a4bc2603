#!/usr/bin/env bash
# A streaming runbook against the library: recall after every step (bench/runbook/run_runbook.py).
# usage: scripts/dev bench runbook DATA_PREFIX KIND|FILE.yaml [OPTION...]     KIND: sliding expiration clustered replace
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -x build/bench-venv/bin/python ]; then python3 -m venv build/bench-venv; fi
build/bench-venv/bin/pip -q install numpy psutil PyYAML
exec build/bench-venv/bin/python bench/runbook/run_runbook.py "$@" --lib build/release/libfreshet.so
