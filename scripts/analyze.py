#!/usr/bin/env python3
"""gcc -fanalyzer and clang's analyzer over api, simd, log, index and server: one result per tool and file; anything that is found fails.

A finding that was looked at and is none stands in KNOWN with its reason. An entry that nothing matches any more fails the run, too.
usage: analyze.py [--jobs N] [--tool gcc|clang] [FILE...]     last line: N passed, N failed
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROOMS = ("api", "simd", "log", "index", "server")
# Nodes that clang follows in one function: its default of 225,000 takes four times as long and found nothing more here.
CLANG = ["clang-14", "--analyze", "--analyzer-output", "text", "-Wno-everything", "-Xclang", "-analyzer-checker=security",
         "-Xclang", "-analyzer-disable-checker=optin.performance.Padding",
         "-Xclang", "-analyzer-disable-checker=security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
         "-Xclang", "-analyzer-config", "-Xclang", "max-nodes=50000"]
GCC = ["gcc", "-O0", "-fanalyzer", "-fdiagnostics-plain-output", "-c"]

# (file, part of the message): why it is none.
KNOWN = {
    ("/usr/include/h2o/linklist.h", "dereference of a null pointer"): "h2o's lists are rings: no link is NULL",
    ("api/milvus/milvus_columns_in.c", "garbage"): "places_of fills the place of every field of the schema",
    ("api/milvus/milvus_search.c", "loaded from field 'field'"): "what field_in refused goes no further: refuse() is always false",
    ("server/daemon/cli_import.c", "Null pointer passed to 1st parameter"): "the command line was refused without a file",
    ("index/load.c", "Array access (via field 'ranges')"): "a count below the capacity means that there is memory",
    ("server/engine/produce.c", "garbage value"): "check_header filled the header, or check_fields is not called",
    ("server/engine/schema.c", "Null pointer passed to 2nd parameter"): "only a schema that is there is copied",
    ("index/sparse.c", "Array access (via field 'entries')"): "without a block of its own every entry is swept: none is copied",
    ("log/segment_index.c", "Array access (via field 'entries')"): "room for a block of entries is reserved before it is read",
    ("server/engine/recover.c", "garbage or undefined"): "the offsets are filled for every partition",
    ("server/engine/writer.c", "uninitialized value"): "make_plan fills its arrays for every partition, and a collection's partitions do not become fewer",
    ("server/engine/writer.c", "garbage value"): "the same",
    ("api/doc.c", "use of uninitialized value"): "check_unique has filled the keys that are compared",
}


def flags_of(command):
    """What decides about meaning: macros, folders, language, instruction sets."""
    words, out = shlex.split(command), []
    for at, word in enumerate(words):
        if word.startswith(("-D", "-I", "-std", "-m")) or word == "-isystem":
            out += [word, words[at + 1]] if word == "-isystem" else [word]
    return out


def look(tool, name, entry):
    """The findings in one file as (place, message)."""
    command = (GCC if tool == "gcc" else CLANG) + flags_of(entry["command"])
    if name != "api/base.c":  # where fr_fail is defined
        command += ["-include", str(ROOT / "scripts" / "analyzer_hints.h")]
    ran = subprocess.run([*command, entry["file"], "-o", "/dev/null"], cwd=entry["directory"], capture_output=True, text=True, errors="replace")
    found = set()
    for line in ran.stderr.splitlines():
        if ("error: " in line) if tool == "gcc" and "-Wanalyzer" not in line else (" warning: " in line or "error: " in line):
            place, _, message = line.partition(": warning: ") if " warning: " in line else line.partition("error: ")
            file = os.path.normpath(os.path.join(entry["directory"], place.split(":")[0]))
            inside = os.path.relpath(file, ROOT) if file.startswith(f"{ROOT}/") else file  # system headers by their own path
            found.add((inside + ":" + ":".join(place.split(":")[1:2]), message))
    if ran.returncode and not found:
        found.add((name, (ran.stderr.strip().splitlines() or ["the tool failed"])[-1]))
    return tool, name, sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--tool", choices=("gcc", "clang"))
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    entries = {}
    for entry in json.loads((ROOT / "build" / "dev" / "compile_commands.json").read_text()):
        name = os.path.relpath(entry["file"], ROOT)
        if name.endswith(".c") and name.split("/")[0] in ROOMS and (not options.files or name in options.files):
            entries[name] = entry
    work = [(tool, name) for tool in ("clang", "gcc") if options.tool in (None, tool) for name in entries
            if tool == "clang" or not name.startswith("simd/")]  # gcc takes constants of the intrinsics for shifts that are too wide
    work.sort(key=lambda one: -(ROOT / one[1]).stat().st_size)  # the longest first
    passed, failed, met = 0, 0, set()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for tool, name, found in pool.map(lambda one: look(*one, entries[one[1]]), work):
            left = []
            for place, message in found:
                known = next((k for k in KNOWN if k[0] == place.split(":")[0] and k[1] in message), None)
                if known:
                    met.add(known)
                else:
                    left.append(f"{tool}: {place}: {message}")
            print("\n".join(left), end="\n" if left else "", flush=True)
            passed, failed = passed + (not left), failed + bool(left)
    for known in sorted(set(KNOWN) - met) if not options.files and not options.tool else []:
        print(f"{known[0]}: nothing says {known[1]!r} any more: take it out of KNOWN")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
