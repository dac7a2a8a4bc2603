#!/usr/bin/env python3
"""Run the HTTP probe (ambiguous and hostile requests) against a live server and hold its answers against expectations.

Every ambiguous request must be refused and its connection closed; whatever happens, the server must stay up and answer.
usage: probe_check.py --binary freshet --probe http_probe.py      last line: N passed, N failed
"""
import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import Server  # noqa: E402

# Cases whose framing could be read in two ways (a chunk of 2^64-1 bytes is not: it is read until the limit of a request): one answer, 400 (or a more exact 4xx/5xx), then the end of the connection.
AMBIGUOUS = ["dup CL differ 5/3", "dup CL differ 3/5", "CL then TE chunked", "TE then CL", "TE gzip,chunked", "TE xchunked + TE chunked",
             "TE chunked HTTP/1.0", "TE obs-fold chunked", "space before colon", "CL space-colon", "CL +5", "CL -1", "CL 5,5", "CL empty",
             "CL 2^64-1", "CL 2^64+5", "CL 20 nines", "CL > limit", "chunk size 17 hex digits", "chunk size 0x5",
             "no Host HTTP/1.1", "two Hosts", "NUL in header", "101 headers", "99 hdr x 4000B", "430 KB one header", "HTTP/2.0 in line",
             "TLS hello to plain"] # the preface of HTTP/2 is no longer refused: gRPC is spoken on the port
LINE = re.compile(r"^(.{34}) status=(\[[^\]]*\]) (.*)$")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--probe", required=True)
    arguments = parser.parse_args()
    passed = failed = 0
    with Server(arguments.binary) as server:
        server.start()
        run = subprocess.run([sys.executable, arguments.probe, str(server.port)], capture_output=True, text=True, check=False, timeout=300)
        if run.returncode != 0:
            print(run.stderr)
            failed += 1
        answers = {}
        for line in run.stdout.splitlines():
            match = LINE.match(line)
            if match:
                answers[match[1].strip()] = (re.findall(r"\d\d\d", match[2]), match[3])
        for name, (statuses, rest) in answers.items():
            wrong = None
            closed = "EOF>" in rest or "RST>" in rest
            if name in AMBIGUOUS:
                if len(statuses) > 1 or (statuses and statuses[0][0] not in "45"):
                    wrong = f"statuses {statuses}: one refusal expected"
                elif not closed:
                    wrong = "the connection stays open"
            elif any(status[0] == "5" and status not in ("501", "505") for status in statuses):
                wrong = f"statuses {statuses}: the server blames itself"
            if wrong:
                failed += 1
                print(f"{name}: {wrong}  {rest[:120]}")
            else:
                passed += 1
        missing = [name for name in AMBIGUOUS if name not in answers]
        if missing or len(answers) < 40:
            failed += 1
            print(f"the probe has {len(answers)} cases; missing: {missing}")
        client = server.client()
        if client.raw("GET", "/readyz")[0] != 200:
            failed += 1
            print("the server does not answer any more")
        client.close()
        if server.stop() != 0:
            failed += 1
            print(f"the server did not end cleanly\n{server.tail()}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
