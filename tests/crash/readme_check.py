#!/usr/bin/env python3
"""README.md is true: every block marked sh is run, in order, against a server; every setting of serve --help is in its table.

usage: readme_check.py --binary freshet      last line: N passed, N failed (blocks and settings)
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import ROOT, Server  # noqa: E402

ADDRESS = "127.0.0.1:19530"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--show", action="store_true", help="print what each command answers")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    passed = failed = 0
    with Server(binary) as server, tempfile.TemporaryDirectory() as folder:
        server.start()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
            script = block.replace(ADDRESS, f"127.0.0.1:{server.port}").replace("build/release/freshet", binary)
            run = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", 'curl() { command curl --fail-with-body "$@"; echo; }\n' + script],
                                 cwd=folder, capture_output=True, text=True, timeout=120, check=False,
                                 env={**os.environ, "FRESHET_URL": server.url})
            if arguments.show:
                print(block + run.stdout)
            if run.returncode == 0 and "Traceback" not in run.stderr:
                passed += 1
            else:
                failed += 1
                print(f"status {run.returncode}:\n{block}\n{run.stdout[-1500:]}\n{run.stderr[-500:]}")
        usage = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True)
        for name in re.findall(r"^\s+--([a-z-]+)", usage.stdout + usage.stderr, re.M):
            if f"| `--{name}` |" in text or name == "help":
                passed += 1
            else:
                failed += 1
                print(f"--{name} is not in the README's table of settings")
        if server.stop() != 0:
            failed += 1
            print(f"the server did not end cleanly\n{server.tail()}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
