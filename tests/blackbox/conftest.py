"""Black-box tests: a built server on a free port and a temporary directory, over HTTP. The binary is FRESHET_BINARY (or FRESHET_BIN)."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("FRESHET_BINARY") or os.environ.get("FRESHET_BIN") or os.path.join(ROOT, "build/dev/freshet")


def wait_for(what, why=lambda: "", process=None, seconds=60):
    """Until what() holds. Tests wait for events, with room for a slow machine, not for times."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until and (process is None or process.poll() is None), why()
        time.sleep(0.01)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]


class Freshet:
    """One server process. restart() keeps the directory."""

    def __init__(self, arguments=(), folder=None, environment=None):
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="freshet-blackbox-")
        self.data = os.path.join(self.folder, "data")
        self.arguments = list(arguments)
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("FRESHET_")}, **(environment or {})}
        self.process, self.stopped = None, False
        self.connection, self.used = None, 0.0
        self.notes = open(os.path.join(self.folder, "notes.txt"), "ab")

    def start(self, ready=True):
        self.stopped = False
        self.process = subprocess.Popen([BINARY, "serve", "--data", self.data, "--listen", "127.0.0.1:0", *self.arguments],
                                        stdout=subprocess.PIPE, stderr=self.notes, env=self.environment)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening 127.0.0.1:"), (line, self.tail())
        self.port = int(line.rsplit(":", 1)[1])
        if ready:
            wait_for(lambda: self.request("GET", "/readyz").status == 200, lambda: self.tail(), self.process)
        return self

    def tail(self):
        self.notes.flush()
        with open(self.notes.name, encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def request(self, method, path, body=None, headers=None, connection=None):
        """On the kept connection, opened when missing, unless another is given."""
        own = connection is None
        if own:
            if time.monotonic() - self.used > 20:
                self.disconnect()  # the server closes what was idle for a minute, and a slow test is idle on this one for so long
            self.used = time.monotonic()
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection = self.connection
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode() if isinstance(body, str) else body
        try:
            connection.request(method, path, body=data, headers=headers or {})
            reply = connection.getresponse()
            answer = Reply(reply.status, reply.headers, reply.read())
            if own and reply.will_close:
                self.disconnect()
            return answer
        except BaseException:
            if own:
                self.disconnect()
            raise

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def post(self, path, body=None):
        return self.request("POST", path, body)

    def get(self, path):
        return self.request("GET", path)

    def ok(self, method, path, body=None):
        reply = self.request(method, path, body)
        assert reply.status == 200, (method, path, reply.status, reply.body[:500])
        return reply.json()

    def create(self, name, dimension=3, metric="l2", **more):
        return self.ok("POST", "/v1/collections", {"name": name, "dimension": dimension, "metric": metric, **more})

    def upsert(self, name, records, **more):
        return self.ok("POST", f"/v1/collections/{name}/upsert", {"records": records, **more})

    def search(self, name, **body):
        return self.ok("POST", f"/v1/collections/{name}/search", body)["hits"]

    def count(self, name):
        return self.ok("POST", f"/v1/collections/{name}/count")["count"]

    def raw(self, data, wait=5.0):
        """Bytes in, bytes out until the end of the stream or a silence. Returns (bytes, closed)."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.settimeout(wait)
            out = b""
            try:
                s.sendall(data)
                while True:
                    part = s.recv(65536)
                    if not part:
                        return out, True
                    out += part
            except socket.timeout:
                return out, False
            except (ConnectionResetError, BrokenPipeError):
                return out, True

    def stop(self, number=signal.SIGTERM, seconds=60):
        self.disconnect()
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(seconds)
        self.process.stdout.close()
        return status

    def end(self):
        """Stopped cleanly (the sanitizers report at exit), removed."""
        crashed = self.process and not self.stopped and self.process.poll() is not None
        status = self.process.returncode if crashed else self.stop() if self.process and not self.stopped else 0
        text = self.tail()
        self.notes.close()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert status == 0, text


@pytest.fixture(scope="session")
def binary():
    if not os.access(BINARY, os.X_OK):
        pytest.skip(f"{BINARY} is not built")
    return BINARY


@pytest.fixture(scope="module")
def server(binary):
    """One per file: tests name their own collections."""
    one = Freshet().start()
    yield one
    one.end()


@pytest.fixture
def fresh(binary):
    """Makes servers of a test's own: fresh(arguments)."""
    made = []

    def make(arguments=(), **more):
        made.append(Freshet(arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()
