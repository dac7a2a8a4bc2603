#!/usr/bin/env python3
"""House rules that a machine can hold: include directions, banned calls, unique names, line length, public symbols.

usage: tidy.py [--root DIR] [--library libfreshet.so] [--hints] [FILE...]
Exit 1 and one line "file:line: rule: what" per finding. --hints also prints long files and functions, which never fail.
"""
import argparse
import os
import re
import subprocess
import sys

LINE_MAX = 120  # a hint; over LINE_LIMIT it is a finding outside of tests
LINE_LIMIT = 160
FILE_LINES_HINT = 1000
FUNCTION_LINES_HINT = 70

# DESIGN.md, "The house": room -> prefixes of this tree it may include. A prefix that ends in .h is one header.
LEAF = ("api/freshet.h", "api/base.h", "api/doc.h", "api/analyze.h", "api/base64.h", "api/brisk.h", "api/wall.h", "api/read_batch.h")
ROOMS = {
    "api": LEAF,
    "simd": LEAF + ("simd/",),
    "log": LEAF + ("simd/simd.h", "log/"),
    "index": LEAF + ("simd/simd.h", "index/"),
    "server/engine": LEAF + ("log/", "index/", "simd/simd.h", "server/engine/"),
    "api/http": LEAF + ("api/http/",),
    "api/milvus": LEAF + ("api/milvus/", "api/http/json_dom.h", "api/http/json_out.h"),
    "api/kafka": LEAF + ("api/kafka/",),
    "server/daemon": LEAF + ("api/http/", "api/milvus/", "api/kafka/", "server/connect/", "server/daemon/"),
    "server/connect": LEAF + ("server/connect/",),
}
# Libraries that are some rooms' alone: header pattern -> rooms that may include it.
LIBRARIES = [
    (r"simde/", ("simd",)),
    (r"(h2o\.h|h2o/)", ("server/daemon",)),
    (r"(openssl/|nghttp2/)", ("server/daemon",)),
    (r"(protobuf-c/|\w+\.pb-c\.h)", ("api/milvus",)),
    (r"lz4|zstd|zlib\.h|snappy", ("log", "server/engine")),
    (r"simdjson|jansson", ("api/http", "server/daemon", "server/connect")),
    (r"liburing", ("api",)),
    (r"curl/", ("server/daemon", "server/connect")),
    (r"librdkafka/", ("server/connect",)),
    (r"(sys/socket|netinet/|arpa/inet|netdb|sys/epoll)", ("server/daemon",)),
    (r"pthread\.h|threads\.h", ("api", "api/kafka", "api/milvus", "log", "index", "server/engine", "server/daemon", "server/connect")),
    (r"fcntl\.h|sys/stat\.h|dirent\.h", ("log", "index/alone_store.c", "index/alone_file.c", "server/engine", "server/daemon", "server/connect", "api")),
    (r"time\.h|sys/time\.h", ("api", "api/http", "api/milvus", "log", "server/engine", "server/daemon", "server/connect")),
]
PRIVATE_HEADER = re.compile(r"_(private|internal)\.h$")

BANNED = [
    (re.compile(r"(?<![\w.>])(sprintf|vsprintf|strcpy|strcat|strncat|gets|strtok)\s*\("), "unbounded or stateful; use snprintf or spans"),
    (re.compile(r"(?<![\w.>])(atoi|atol|atoll|atof)\s*\("), "hides errors; use strtoll and check the end"),
    (re.compile(r"(?<![\w.>])(rand|srand|random|srandom|drand48)\s*\("), "random numbers come from a seed or log/io.h"),
]
MEMORY = (
    re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign|asprintf|getline)\s*\("),
    "use fr_alloc and friends with a tag (api/base.h)",
)
# The engine and below see clocks and randomness through log/io.h only. db.c: the bells' timed waits, outside of every step;
# alone_link.c: the index without an engine has no io to wait through.
SEAM = (
    re.compile(r"(?<![\w.>])(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|getrandom)\s*\("),
    "clocks, waiting and random numbers come through log/io.h",
    ("log/io_posix.c", "server/engine/db.c", "index/alone_link.c"),
)
LATER = re.compile(r"\b(" + "FIX" + r"ME|TO" + r"DO|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(work|farm|home/\w|tmp/b-)[/\w-]")
TYPEDEF_T = re.compile(r"^\s*(typedef\b.*\b|\}\s*)\w+_t;")
SAME_NAME_OK = {"README.md", "CMakeLists.txt", "conftest.py", "__init__.py", ".gitignore", "run", "requirements.txt"}
SOURCE = (".c", ".h", ".cc", ".hpp")
TEXT = SOURCE + (".py", ".sh", ".md", ".txt", ".json", ".in", ".toml", ".yml", "")


class Findings(list):
    def add(self, path, line, rule, what):
        self.append(f"{path}:{line}: {rule}: {what}")


def tracked(root):
    try:
        names = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                               capture_output=True, check=True).stdout.decode().split("\0")
        return sorted(n for n in names if n and os.path.isfile(os.path.join(root, n)))
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if f not in ("build", ".git", "__pycache__", "data")]
            found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
        return sorted(found)


def room_of(path):
    folders = path.split("/")[:-1]
    for depth in (2, 1):
        name = "/".join(folders[:depth])
        if len(folders) >= depth and name in ROOMS:
            return name
    return None


def blank(text):
    """The same text with comments, strings and characters replaced by spaces, lines kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def check_includes(path, text, findings):
    room = room_of(path)
    if path.startswith("tests/embed/"):
        for number, line in enumerate(text.splitlines(), 1):
            if (m := re.match(r'\s*#\s*include\s+["<]((?:api|simd|log|index|server)/[^">]+)', line)) and m[1] != "api/freshet.h":
                findings.add(path, number, "include", "an embedding program sees only freshet.h")
        return
    if room is None:
        return
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not m:
            continue
        name = m[2]
        if m[1] == '"' and re.match(r"(api|simd|log|index|server|tests|bench)/", name):
            allowed = any(name == p or (p.endswith("/") and name.startswith(p)) for p in ROOMS[room])
            if not allowed:
                findings.add(path, number, "include", f"{room} may not include {name}")
            elif PRIVATE_HEADER.search(name) and not name.startswith(room + "/"):
                findings.add(path, number, "include", f"{name} is private to its room")
        elif m[1] == '"':
            findings.add(path, number, "include", f'"{name}" must start at the root, with its room')
        else:
            for pattern, rooms in LIBRARIES:
                if re.match(pattern, name) and room not in rooms and path not in rooms:
                    findings.add(path, number, "include", f"{room} may not include <{name}>")


def check_source(path, text, findings):
    code = blank(text)
    production = room_of(path) is not None
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, why in BANNED:
            if m := pattern.search(line):
                findings.add(path, number, "banned", f"{m[1]}(): {why}")
        if production and path != "api/base.c" and (m := MEMORY[0].search(line)):
            findings.add(path, number, "banned", f"{m[1]}(): {MEMORY[1]}")
        below = room_of(path) in ("simd", "log", "index", "server/engine")
        if below and path not in SEAM[2] and (m := SEAM[0].search(line)):
            findings.add(path, number, "banned", f"{m[1]}(): {SEAM[1]}")
        if production and TYPEDEF_T.match(line):
            findings.add(path, number, "name", "no _t types of ours (POSIX owns the suffix)")
    for number, line in enumerate(text.splitlines(), 1):
        if production and len(line) > LINE_LIMIT:
            findings.add(path, number, "length", f"{len(line)} columns, at most {LINE_MAX}")
        if "\t" in line:
            findings.add(path, number, "tab", "indent with spaces")
    if not re.match(r"\s*(/\*|//)", text):
        findings.add(path, 1, "head", "begin with a comment: role, invariants, source")


def hints_of(path, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES_HINT:
        yield f"{path}:1: hint: {len(lines)} lines, more than {FILE_LINES_HINT}"
    start = None
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            yield f"{path}:{number}: hint: {len(line)} columns, more than {LINE_MAX}"
        if line == "{" or re.match(r"^\w.*\)\s*\{$", line):
            start = number
        elif line == "}" and start is not None:
            if number - start > FUNCTION_LINES_HINT:
                yield f"{path}:{start}: hint: function of {number - start} lines, more than {FUNCTION_LINES_HINT}"
            start = None


def check_text(path, text, findings):
    for number, line in enumerate(text.splitlines(), 1):
        if m := LATER.search(line):
            findings.add(path, number, "later", f"{m[1]}: finish it or say it in an issue")
        if m := MACHINE_PATH.search(line):
            findings.add(path, number, "machine", f"a path of one machine: {m[0]}")


def check_names(paths, findings):
    seen = {}
    for path in paths:
        name = os.path.basename(path)
        if name in SAME_NAME_OK or not path.endswith(SOURCE + (".py", ".sh")):
            continue
        if name in seen:
            findings.add(path, 1, "unique", f"the name is taken by {seen[name]}")
        seen[name] = path


def check_symbols(root, library, findings):
    with open(os.path.join(root, "api/freshet.h"), encoding="utf-8") as f:
        header = blank(f.read())
    wanted = set()
    for declaration in re.findall(r"FR_API\s+([^;]+);", header):
        m = re.search(r"\b(fr_\w+)\s*\(", declaration)
        if m:
            wanted.add(m[1])
    out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, check=True, text=True).stdout
    found = {line.split()[-1].split("@")[0] for line in out.splitlines() if line.split()[-2] in "TDBRVWi"}
    found = {name for name in found if not name.startswith(("_init", "_fini", "__asan", "__odr_asan", "_edata", "_end", "__bss"))}
    for name in sorted(found - wanted):
        findings.add(library, 0, "symbols", f"{name} is exported and not FR_API in freshet.h")
    for name in sorted(wanted - found):
        findings.add(library, 0, "symbols", f"{name} is FR_API in freshet.h and not exported")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--library", help="check only the exported symbols of this libfreshet.so")
    parser.add_argument("--hints", action="store_true", help="also print long files and functions")
    parser.add_argument("files", nargs="*", help="only these files (all when none are named)")
    arguments = parser.parse_args()
    findings = Findings()
    if arguments.library:
        check_symbols(arguments.root, arguments.library, findings)
    else:
        everything = tracked(arguments.root)
        paths = [os.path.relpath(f, arguments.root) for f in arguments.files] or everything
        check_names(everything, findings)
        for path in paths:
            full = os.path.join(arguments.root, path)
            if os.path.splitext(path)[1] not in TEXT or os.path.islink(full):
                continue
            try:
                with open(full, encoding="utf-8") as f:
                    text = f.read()
            except (UnicodeDecodeError, OSError):
                continue
            if "/corpus/" not in path:
                check_text(path, text, findings)
            if path.endswith(SOURCE):
                check_includes(path, text, findings)
                check_source(path, text, findings)
                if arguments.hints:
                    for hint in hints_of(path, text):
                        print(hint)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
