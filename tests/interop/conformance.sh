#!/usr/bin/env bash
# Every check of the Kafka conformance script (kcat, librdkafka, kafka-python, Java, franz-go, raw sockets) against a fresh server, those of SASL
# on a second listener.
# usage: conformance.sh BINARY [FOLDER]      clients go into FOLDER (default build/kafka-clients); 77 when they cannot be had
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${1:?usage: conformance.sh BINARY [FOLDER]} folder=${2:-build/kafka-clients} suite=../shared/acceptance/kafka
[ -f $suite/setup.sh ] || { echo "skipped: ../shared/acceptance/kafka is not there"; exit 77; }
mkdir -p "$folder"
timeout 200 bash $suite/setup.sh "$folder" >"$folder/setup.log" 2>&1 || { tail -n 3 "$folder/setup.log"; echo "skipped: the clients cannot be installed"; exit 77; }
data=$(mktemp -d)
read -r port sasl < <(python3 -c 'import socket; s = [socket.socket() for _ in "ab"]; [x.bind(("127.0.0.1", 0)) for x in s]; print(*(x.getsockname()[1] for x in s))')
"$binary" serve --data "$data/data" --listen 127.0.0.1:0 --kafka-listen "127.0.0.1:$port" --kafka-sasl-listen "127.0.0.1:$sasl" >"$folder/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$data"' EXIT # errexit holds in a trap, too
for _ in $(seq 1000); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
url=http://$(sed -n 's/^listening //p' "$folder/server.log")
for _ in $(seq 1000); do curl -fs "$url/readyz" >"$data/ready" && break; sleep 0.05; done
printf 'a-password-of-tests' | "$binary" user put tester --set-password-file - --url "$url" >"$data/user"
"$binary" user grant tester read,write,admin '*' --url "$url" >"$data/grant"
"$binary" user grant tester read '*' --on group --url "$url" >"$data/grant"
options=(--slow -j 3 --sasl "127.0.0.1:$sasl:tester:a-password-of-tests")
[ -x "$folder/fg/fg" ] || options+=(--no-go)
status=0
"$folder/venv/bin/python" "$folder/conformance.py" "127.0.0.1:$port" "${options[@]}" >"$folder/conformance.log" 2>/dev/null || status=$?
grep -E '^(FAIL|TOTAL)' "$folder/conformance.log" || true
sed -n 's/^TOTAL \([0-9]*\) pass, \([0-9]*\) fail.*/\1 passed, \2 failed/p' "$folder/conformance.log"
exit "$status"
