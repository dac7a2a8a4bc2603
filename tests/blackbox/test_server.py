"""The process: connections, pipelining, probes under load, restart, a second server, signals, settings."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BINARY, wait_for


def test_keep_alive_and_pipelining(server):
    server.create("pipe", 1)
    body = json.dumps({"records": [{"id": 1, "vector": [1]}]}).encode()
    one = b"POST /v1/collections/pipe/upsert HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    search = json.dumps({"vector": [1]}).encode()
    two = b"POST /v1/collections/pipe/search HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(search), search)
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    out, closed = server.raw((one + two) * 50 + last)
    assert closed and re.findall(rb"HTTP/1\.1 (\d+)", out) == [b"200"] * 101
    assert out.count(b'"upserted":1') == 50 and out.count(b'"hits":[{"id":1,') == 50


def test_chunked_bodies_are_taken_and_the_connection_closed(server):
    server.create("chunked", 1)
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    c.request("POST", "/v1/collections/chunked/upsert", body=(part for part in [b'{"records":[{"id":1,', b'"vector":[1]}]}']), encode_chunked=True,
              headers={"Transfer-Encoding": "chunked"})
    reply = c.getresponse()
    assert reply.status == 200 and json.loads(reply.read())["upserted"] == 1 and reply.headers["Connection"] == "close"
    c.close()


def test_byte_by_byte(server):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        for byte in b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n":
            s.sendall(bytes([byte]))
            time.sleep(0.001)
        assert s.recv(1000).startswith(b"HTTP/1.1 200")


def test_what_is_acknowledged_is_found(server):
    """5,000 upserts, each searched for at once on another connection, from four threads."""
    server.create("probe", 8)
    misses, rounds = [], 1250

    def prober(seed):
        rng = random.Random(seed)
        writer = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        reader = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for i in range(rounds):
            vector = [rng.uniform(-100, 100) for _ in range(8)]
            key = f"{seed}-{i % 500}"
            done = server.request("POST", "/v1/collections/probe/upsert", {"records": [{"id": key, "vector": vector}]}, connection=writer)
            found = server.request("POST", "/v1/collections/probe/search", {"vector": vector, "k": 1}, connection=reader)
            if done.status != 200 or found.status != 200 or found.json()["hits"][0]["id"] != key:
                misses.append((key, done.status, found.status, found.body[:200]))
        writer.close()
        reader.close()

    threads = [threading.Thread(target=prober, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not misses, misses[:3]
    assert server.count("probe") == 2000


def test_restart_keeps_all(fresh):
    one = fresh().start()
    one.create("keep", 4, partitions=2)
    one.upsert("keep", [{"id": i, "vector": [i, 1, 2, 3], "metadata": {"n": i}} for i in range(1000)])
    one.ok("POST", "/v1/collections/keep/delete", {"ids": [3, 4]})
    one.ok("PUT", "/v1/aliases/now", {"collection": "keep"})
    before = one.search("now", vector=[7, 1, 2, 3], k=20, exact=True)
    assert one.stop() == 0
    one.start()
    assert one.count("now") == 998 and one.search("now", vector=[7, 1, 2, 3], k=20, exact=True) == before
    one.upsert("keep", [{"id": "after", "vector": [0, 0, 0, 0]}])
    one.stop(signal.SIGKILL)
    one.start()
    assert one.count("keep") == 999
    assert one.ok("POST", "/v1/collections/keep/get", {"ids": ["after"]})["records"]


def test_while_recovering(fresh):
    """The port is open before recovery has ended: health says how far it is, the rest is 503 with Retry-After."""
    one = fresh().start()
    one.create("replayed", 32)
    for start in range(0, 30000, 5000):
        one.upsert("replayed", [{"id": start + i, "vector": [(start + i) * (j + 3) % 101 for j in range(32)]} for i in range(5000)], ack="durable")
    one.stop(signal.SIGKILL)
    one.start(ready=False)
    seen = []
    while True:
        live, ready, other = one.get("/livez"), one.get("/readyz"), one.get("/v1/collections/replayed")
        assert live.status == 200
        seen.append(ready.status)
        if ready.status == 200:
            break
        assert ready.status == 503 and ready.json()["ready"] is False and ready.json()["reason"] == "recovering" and "done" in ready.json()
        assert other.status == 200 or (other.status == 503 and other.error["code"] == "starting" and other.headers["Retry-After"])
        assert one.get("/metrics").status == 200
    assert one.count("replayed") == 30000


def test_second_server_is_refused(fresh):
    one = fresh().start()
    two = subprocess.run([BINARY, "serve", "--data", one.data,
                          "--listen", "127.0.0.1:0"], capture_output=True, timeout=60, check=False)
    assert two.returncode == 1 and b"another server" in two.stderr
    port = subprocess.run([BINARY, "serve", "--data", one.data + "2",
                           "--listen", f"127.0.0.1:{one.port}"], capture_output=True, timeout=60, check=False)
    assert port.returncode == 1 and b"ddress already in use" in port.stderr
    assert one.get("/livez").status == 200


def test_sigterm_answers_what_is_in_flight(fresh):
    one = fresh().start()
    one.create("drain", 2)
    results, stop = [], threading.Event()

    def writer(seed):
        c = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
        i = 0
        try:
            while not stop.is_set():
                reply = one.request("POST", "/v1/collections/drain/upsert", {"records": [{"id": f"{seed}-{i}", "vector": [seed, i]}]}, connection=c)
                if reply.status == 200:
                    results.append(f"{seed}-{i}")
                i += 1
        except (OSError, http.client.HTTPException):
            pass  # the connection was closed between requests

    threads = [threading.Thread(target=writer, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(results) > 10)
    assert one.stop() == 0
    stop.set()
    for t in threads:
        t.join()
    one.start()
    found = set()
    for start in range(0, len(results), 5000):
        found |= {r["id"] for r in one.ok("POST", "/v1/collections/drain/get", {"ids": results[start:start + 5000]})["records"]}
    assert found == set(results)


def test_sigint_stops_with_idle_connections(fresh):
    one = fresh().start()
    idle = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(20)]
    idle[0].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    idle[0].recv(1000)
    begin = time.monotonic()
    assert one.stop(signal.SIGINT) == 0
    assert time.monotonic() - begin < 8
    for s in idle:
        s.close()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_second_signal_ends_at_once(fresh):
    one = fresh().start()
    slow = socket.create_connection(("127.0.0.1", one.port))
    slow.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nPOST /v1/collections HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert slow.recv(1000).startswith(b"HTTP/1.1 200")  # so it has read the second one, too
    one.process.send_signal(signal.SIGTERM)
    wait_for(lambda: refused(one.port))  # it has the signal
    time.sleep(0.3)
    assert one.process.poll() is None  # it waits for the request to be finished
    begin = time.monotonic()
    assert one.stop(signal.SIGTERM) == 1
    assert time.monotonic() - begin < 3
    slow.close()


def test_settings(fresh, tmp_path):
    file = tmp_path / "freshet.ini"
    file.write_text("# settings\n[serve]\nthreads = 1\nmax-connections = 7\nlog-level = \"warn\"\n")
    one = fresh(["--config", str(file)], environment={"FRESHET_SEARCHERS": "3"}).start()
    text = one.get("/metrics").body.decode()
    assert 'freshet_threads{pool="loop"} 1' in text and 'freshet_threads{pool="search"} 3' in text
    bad = subprocess.run([BINARY, "serve", "--data", "x", "--threads", "many"],
                         capture_output=True, timeout=60, check=False)
    assert bad.returncode == 2 and b"threads" in bad.stderr


def test_connection_caps(fresh):
    one = fresh(["--max-connections", "8", "--max-connections-per-address", "5"]).start()
    one.disconnect()
    held = []

    def hold():  # a refusal comes unasked; the connections of before are given back when the server sees their ends
        s = socket.create_connection(("127.0.0.1", one.port))
        try:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            served = s.recv(1000).startswith(b"HTTP/1.1 200")
        except OSError:
            served = False
        if served:
            held.append(s)
        else:
            s.close()
        return len(held) == 5

    wait_for(hold)
    with socket.create_connection(("127.0.0.1", one.port)) as s:
        out = s.recv(1000)
        assert out.startswith(b"HTTP/1.1 503") and b"Retry-After" in out
        body = out.partition(b"\r\n\r\n")[2]
        assert json.loads(body)["error"]["code"] == "busy"
        assert int(re.search(rb"Content-Length: (\d+)", out)[1]) == len(body)
    for s in held:
        s.close()

    def served():
        try:
            return one.get("/livez").status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_for(served)


def test_health_answers_while_searches_are_busy(fresh):
    one = fresh(["--searchers", "1"]).start()
    one.create("busy", 64)
    for start in range(0, 4000, 1000):
        one.upsert("busy", [{"id": start + i, "vector": [((start + i) * (j + 1)) % 97 for j in range(64)]} for i in range(1000)])
    stop = threading.Event()

    def load():
        c = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
        while not stop.is_set():
            assert one.request("POST", "/v1/collections/busy/search", {"vectors": [[k] * 64 for k in range(64)], "k": 50, "exact": True, "output": []}, connection=c).status in (200, 429)
        c.close()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    times = []
    for _ in range(50):
        begin = time.monotonic()
        assert one.get("/livez").status == 200
        times.append(time.monotonic() - begin)
    stop.set()
    for t in threads:
        t.join()
    assert sorted(times)[44] < 1.0, times  # what waits behind searches waits each time; a busy machine makes some wait


def test_the_clock_may_jump(fresh, tmp_path):
    """Somebody sets the wall clock two hours forward: nothing that waits or is idle is over. h2o's timers read gettimeofday."""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    (tmp_path / "jump.c").write_text("""
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int gettimeofday(struct timeval *tv, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    tv->tv_sec = now.tv_sec + (access(JUMP, F_OK) == 0 ? 7200 : 0), tv->tv_usec = now.tv_nsec / 1000;
    return 0;
}
""")
    jump, library = tmp_path / "jumped", tmp_path / "jump.so"
    subprocess.run(["cc", "-shared", "-fPIC", f'-DJUMP="{jump}"', "-o", library, tmp_path / "jump.c"], check=True)
    one = fresh(environment={"LD_PRELOAD": str(library), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}).start()
    idle = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    assert one.request("GET", "/livez", connection=idle).status == 200
    jump.write_text("")
    for _ in range(15):
        assert one.get("/livez").status == 200  # on another connection: the loops turn
        time.sleep(0.1)
    assert one.request("GET", "/livez", connection=idle).status == 200
    idle.close()


def test_vanishing_clients(server):
    """Connections cut in every phase of a request; the server goes on."""
    body = json.dumps({"name": "gone", "dimension": 3}).encode()
    whole = b"POST /v1/collections HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for size in range(0, len(whole) + 1, 7):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(whole[:size])
        if size % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
        s.close()
    assert server.get("/livez").status == 200
