"""Unmodified clients of others against a built server: the binary is FRESHET_BINARY, else build/dev/freshet."""
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("FRESHET_BINARY") or os.path.join(ROOT, "build/dev/freshet")
VENVS = os.environ.get("FRESHET_INTEROP_VENVS") or os.path.join(ROOT, "build/interop")


class Server:
    def __init__(self, arguments=(), binary=None, environment=None):
        self.binary, self.environment = binary or BINARY, {**os.environ, **(environment or {})}
        self.folder = tempfile.mkdtemp(prefix="freshet-interop-")
        self.arguments = list(arguments)
        self.notes = open(os.path.join(self.folder, "notes.txt"), "ab")

    def start(self):
        self.process = subprocess.Popen([self.binary, "serve", "--data", os.path.join(self.folder, "data"), "--listen", "127.0.0.1:0", *self.arguments],
                                        stdout=subprocess.PIPE, stderr=self.notes, env=self.environment)
        self.port = int(self.process.stdout.readline().decode().rsplit(":", 1)[1])
        until = time.monotonic() + 60
        while self.ready() != 200:
            assert time.monotonic() < until and self.process.poll() is None
            time.sleep(0.02)
        return self

    def ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def server():
    one = Server().start()
    yield one
    if one.process.poll() is None:
        assert one.stop() == 0
    shutil.rmtree(one.folder)


def python_with(name, *packages):
    """A Python that has these packages, installed by name once; skips the test when they cannot be had."""
    python = os.path.join(VENVS, name, "bin/python")
    stamp = os.path.join(VENVS, name, "packages.txt")
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == "\n".join(packages):
        return python
    made = subprocess.run([sys.executable, "-m", "venv", os.path.join(VENVS, name)], capture_output=True, text=True)
    if made.returncode == 0:
        made = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True, timeout=900)
    if made.returncode != 0:
        pytest.skip(f"cannot install {' '.join(packages)}: {(made.stderr or made.stdout).strip()[-200:]}")
    with open(stamp, "w", encoding="utf-8") as f:
        f.write("\n".join(packages))
    return python
