#!/usr/bin/env bash
# Every check of the Milvus conformance script with the clients of both generations against a fresh server that knows users.
# usage: milvus_conformance.sh BINARY [FOLDER]      clients go into FOLDER (default build/milvus-clients); 77 when they cannot be had
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${1:?usage: milvus_conformance.sh BINARY [FOLDER]} folder=${2:-build/milvus-clients} suite=../shared/acceptance/milvus/conformance.py
[ -f $suite ] || { echo "skipped: ../shared/acceptance/milvus is not there"; exit 77; }
mkdir -p "$folder"
data=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$data"' EXIT # errexit holds in a trap, too
failed=0 passed=0
for version in 3.0.2 2.6.17; do
    if [ ! -x "$folder/$version/bin/python" ]; then
        python3 -m venv "$folder/$version" &&
            timeout 200 "$folder/$version/bin/pip" install -q --disable-pip-version-check "pymilvus==$version" numpy ml-dtypes 'setuptools<81' ||
            { rm -rf "${folder:?}/$version"; server=; echo "skipped: pymilvus $version cannot be installed"; exit 77; }
    fi
    FRESHET_ROOT_PASSWORD=Milvus "$binary" serve --auth --data "$data/$version" --listen 127.0.0.1:0 >"$data/shown" 2>"$folder/server.log" &
    server=$!
    for _ in $(seq 1000); do port=$(sed -n 's/^listening .*://p' "$data/shown"); [ -z "$port" ] || break; sleep 0.05; done
    timeout 400 "$folder/$version/bin/python" $suite "http://127.0.0.1:$port" >"$folder/$version.log" 2>&1 || true
    grep -E '^(FAIL|TOTAL)' "$folder/$version.log" | sed "s/^/pymilvus $version: /"
    read -r ok bad < <(sed -n 's/^TOTAL [0-9]* PASS \([0-9]*\) FAIL \([0-9]*\).*/\1 \2/p' "$folder/$version.log"; echo 0 1)
    passed=$((passed + ok)) failed=$((failed + bad))
    kill $server
    wait $server || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
