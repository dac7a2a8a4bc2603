"""A live freshet server for tests and benches: start, wait until ready, kill, start again. Standard library only.

The server binds to 127.0.0.1 on a free port and dies with the process that started it.
"""
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ERRORS = (OSError, http.client.HTTPException)
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def die_with_parent():
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Failure(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status, body):
        super().__init__(f"status {status}: {body}")
        self.status = status
        self.body = body


class Client:
    """One keep-alive connection. Not for several threads."""

    def __init__(self, port, timeout=60):
        self.port = port
        self.timeout = timeout
        self.connection = None
        self.used = 0.0

    def raw(self, method, path, body=None):
        if time.monotonic() - self.used > 20:
            self.close()  # the server closes what was idle for a minute
        self.used = time.monotonic()
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body is not None else {})
            reply = self.connection.getresponse()
            return reply.status, reply.read()
        except BaseException:
            self.close()
            raise

    def call(self, method, path, body=None):
        status, data = self.raw(method, path, None if body is None else json.dumps(body))
        if not 200 <= status < 300:
            raise Failure(status, data.decode("utf-8", "replace")[:500])
        return json.loads(data) if data else None

    def patiently(self, method, path, body=None, seconds=30):
        """As call, again while the server asks to come back later."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self.call(method, path, body)
            except Failure as failure:
                if failure.status not in (429, 503) or time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def scroll(self, collection, limit=1000, **more):
        cursor = None
        while True:
            body = {"limit": limit, "output": ["*"], **more}
            if cursor is not None:
                body["cursor"] = cursor
            page = self.post(f"/v1/collections/{collection}/scroll", body)
            yield from page["records"]
            cursor = page.get("cursor")
            if not cursor:
                return

    def log(self, collection, partition=0, offset=0):
        while True:
            page = self.get(f"/v1/collections/{collection}/log?partition={partition}&offset={offset}&limit=1000")
            yield from page["records"]
            if page["next"] >= page["end"] or page["next"] <= offset:
                return
            offset = page["next"]


class Server:
    """A server on `folder` (a temporary one when None, removed at the end unless keep)."""

    def __init__(self, binary, folder=None, arguments=(), environment=None, keep=False):
        self.binary = os.path.abspath(binary)
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="freshet-", dir=os.environ.get("FRESHET_TEST_DIR"))
        self.keep = keep
        self.arguments = list(arguments)
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.port = free_port()
        self.notes = os.path.join(self.folder, "..", os.path.basename(self.folder) + ".notes")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def client(self, timeout=60):
        return Client(self.port, timeout)

    def start(self, ready=True, seconds=120):
        for attempt in range(5):
            with open(self.notes, "ab") as notes:
                self.process = subprocess.Popen(
                    [self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.arguments],
                    stdout=notes, stderr=notes, stdin=subprocess.DEVNULL, env=self.environment, preexec_fn=die_with_parent)
            if not ready:
                return self
            try:
                self.wait_ready(seconds)
                return self
            except RuntimeError:
                # The port may have been taken between our look and the server's; anything else repeats itself.
                if attempt == 4 or "ddress already in use" not in self.tail():
                    raise
                self.port = free_port()
        return self

    def wait_ready(self, seconds=120):
        """Seconds it took."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.tail()}")
            try:
                client = self.client(timeout=5)
                status, _ = client.raw("GET", "/readyz")
                client.close()
                if status == 200:
                    return time.monotonic() - start
            except ERRORS:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"not ready after {seconds} s:\n{self.tail()}")

    def tail(self, size=4000):
        try:
            with open(self.notes, "rb") as f:
                f.seek(0, os.SEEK_END)
                f.seek(max(0, f.tell() - size))
                return f.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=120):
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        if kind is not None:
            print(f"--- last notes of the server ({self.data})\n{self.tail()}", flush=True)
        if self.own and not self.keep and kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            try:
                os.unlink(self.notes)
            except OSError:
                pass


class Writer(threading.Thread):
    """One connection that updates and deletes its own keys, one request at a time, and knows what was acknowledged.

    state[key] = revision (absent: deleted or never there). `pending` is the request that was under way when the server
    died: it must be there whole or not at all.
    """

    def __init__(self, port, collection, name, keys, state, seed, make, batch_max=20, delete_share=0.25, side=None):
        super().__init__(daemon=True, name=name)
        self.client = Client(port)
        self.collection = collection
        self.label = name
        self.keys = keys
        self.state = state
        self.random = random.Random(seed)
        self.make = make  # (key, revision, event_id) -> record
        self.batch_max = batch_max
        self.delete_share = delete_share
        self.side = side
        self.revision = 0
        self.pending = None
        self.updates = self.deletes = self.requests = self.refused = 0
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.one()
        except ERRORS:
            pass  # the server was killed: pending stays
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.client.close()

    def one(self):
        keys = self.random.sample(self.keys, self.random.randint(1, min(self.batch_max, len(self.keys))))
        live = [k for k in keys if k in self.state]
        if live and self.random.random() < self.delete_share:
            self.pending = {"delete": live}
            while True:
                try:
                    reply = self.client.post(f"/v1/collections/{self.collection}/delete", {"ids": live})
                    break
                except Failure as failure:
                    self.retry(failure)
            if reply["deleted"] != len(live):
                raise AssertionError(f"deleted {reply['deleted']} of {len(live)} keys that were there: {live}")
            for key in live:
                del self.state[key]
            self.deletes += len(live)
        else:
            self.revision += 1
            records = [self.make(k, self.revision, f"{self.label}-{self.revision}-{i}") for i, k in enumerate(keys)]
            self.pending = {"upsert": keys, "revision": self.revision, "records": records}
            while True:
                try:
                    reply = self.client.post(f"/v1/collections/{self.collection}/upsert", {"records": records})
                    break
                except Failure as failure:
                    self.retry(failure)
            if reply["upserted"] + reply["duplicates"] != len(keys):
                raise AssertionError(f"upserted {reply} of {len(keys)} records")
            for key in keys:
                self.state[key] = self.revision
            self.updates += len(keys)
        if self.side is not None:
            self.side.write(json.dumps({k: v for k, v in self.pending.items() if k != "records"}) + "\n")
        self.requests += 1
        self.pending = None

    def retry(self, failure):
        if failure.status not in (429, 503):
            raise failure
        self.refused += 1
        time.sleep(0.01)
        if self.stopping.is_set():
            raise ConnectionError("stopping")

    def settle(self, found):
        """After a restart: decide what became of the request under way. found: key -> revision. Returns complaints."""
        pending, self.pending = self.pending, None
        if pending is None:
            return []
        if "delete" in pending:
            gone = [k for k in pending["delete"] if k not in found]
            if gone and len(gone) != len(pending["delete"]):
                return [f"{self.label}: a delete of {len(pending['delete'])} keys took effect on {len(gone)} of them"]
            if gone:
                for key in gone:
                    self.state.pop(key, None)
        else:
            done = [k for k in pending["upsert"] if found.get(k) == pending["revision"]]
            if done and len(done) != len(pending["upsert"]):
                return [f"{self.label}: an upsert of {len(pending['upsert'])} records took effect on {len(done)} of them"]
            for key in done:
                self.state[key] = pending["revision"]
        return []
