"""Programs of a Go client: built from a folder beside this, skipped where Go or its modules cannot be had."""
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.environ.get("FRESHET_INTEROP_VENVS") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build/interop")


def go_program(name):
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        pytest.skip("there is no go")
    folder = os.path.join(BUILT, name)
    shutil.copytree(os.path.join(HERE, name), folder, dirs_exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    for command in (["mod", "tidy"], ["build", "-o", "program", "."]):
        made = subprocess.run([go, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200, check=False)
        if made.returncode != 0 and command[0] == "mod":
            pytest.skip(f"the modules cannot be had: {made.stderr.strip()[-200:]}")
        assert made.returncode == 0, made.stderr[-3000:]
    return os.path.join(folder, "program")
