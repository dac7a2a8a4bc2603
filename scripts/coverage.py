#!/usr/bin/env python3
"""Lines and branches that the unit tests of build/coverage have run, per room, from gcov's figures; a gate on what reads strangers' bytes.

usage: coverage.py [--files]      --files: each file, too      last line: N passed, N failed
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
GATE = 85.0  # percent of lines
# What is gated: a name and a pattern of its files.
GATED = [("log", r"log/"), ("engine", r"server/engine/"), ("documents", r"api/doc\.c"), ("filters", r"index/filter"), ("import", r"server/daemon/import"),
         ("HTTP body", r"api/http/(json_|fields)"), ("Kafka codec", r"api/kafka/kafka_(codec|messages)"),
         ("heads, logins", r"server/daemon/(headscan|sasl|auth|config)")]
ROOMS = [("base", r"api/[^/]*$"), ("simd", r"simd/"), ("log", r"log/"), ("index", r"index/"), ("engine", r"server/engine/"), ("HTTP door", r"api/http/"),
         ("Kafka door", r"api/kafka/"), ("Milvus door", r"api/milvus/"), ("connect", r"server/connect/"), ("daemon", r"server/daemon/")]


def figures():
    """file -> (lines, lines run, branches, branches taken)"""
    data = [str(p) for p in (ROOT / "build" / "coverage").rglob("*.gcda") if "room_" in str(p) or "freshet_daemon" in str(p)]
    notes = {str(p)[:-5] for p in (ROOT / "build" / "coverage").rglob("*.gcno") if "room_" in str(p) or "freshet_daemon" in str(p)}
    never = notes - {d[:-5] for d in data}
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        text = ""
        for some in (data + [n + ".gcno" for n in sorted(never)],):
            for at in range(0, len(some), 40):
                text += subprocess.run(["gcov", "-n", "-b", "-s", str(ROOT), "-r", *some[at:at + 40]], cwd=scratch, capture_output=True, text=True).stdout
    for block in text.split("File '")[1:]:
        name = block.split("'", 1)[0]
        if not name.endswith((".c", ".cc")):
            continue
        def figure(word):
            hit = re.search(word + r":([0-9.]+)% of (\d+)", block)
            return (int(hit.group(2)), round(float(hit.group(1)) * int(hit.group(2)) / 100)) if hit else (0, 0)
        one = figure("Lines executed") + figure("Taken at least once")
        if name not in found or one[1] > found[name][1]:
            found[name] = one
    return found


def share(part):
    lines, run, branches, taken = (sum(f[i] for f in part) for i in range(4))
    return 100 * run / lines if lines else 100.0, 100 * taken / branches if branches else 100.0, lines, branches


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", action="store_true")
    options = parser.parse_args()
    found, failed = figures(), 0
    if options.files:
        for name in sorted(found, key=lambda n: share([found[n]])[0]):
            print("%5.1f %% of %5d lines, %5.1f %% of %5d branches  %s" % (*[share([found[name]])[i] for i in (0, 2, 1, 3)], name))
    for title, groups in (("rooms", ROOMS), (f"gated at {GATE:g} % of lines", GATED)):
        print(title)
        for name, pattern in groups:
            lines, branches, line_count, branch_count = share([f for n, f in found.items() if re.match(pattern, n)])
            low = groups is GATED and (lines < GATE or line_count == 0)
            failed += low
            print(f"  {name:12} {lines:5.1f} % of {line_count:6} lines, {branches:5.1f} % of {branch_count:6} branches{'   BELOW' if low else ''}")
    print(f"{len(GATED) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
