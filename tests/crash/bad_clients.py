#!/usr/bin/env python3
"""Clients that hold on to things, on every port: thousands of idle connections, heads and frames that never end, answers that nobody reads, bodies
without end. A normal client beside them is served all the time, and memory stays bounded.

usage: bad_clients.py --binary FILE [--idle 10000] [--slow]      --slow: also waits for the time limits (a minute)
"""
import argparse
import json
import os
import resource
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import live  # noqa: E402

DIMENSION = 64
passed = failed = 0


def expect(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(("ok    " if good else "FAILED ") + what, flush=True)


def connect(port):
    one = socket.create_connection(("127.0.0.1", port), timeout=20)
    return one


class Normal(threading.Thread):
    """A client as it should be: one search after the other, with its worst time."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.times, self.errors, self.over = live.Client(port, 60), [], [], False

    def run(self):
        while not self.over:
            begun = time.monotonic()
            try:
                self.client.post("/v1/collections/c/search", {"vector": [0.5] * DIMENSION, "k": 5})
                self.client.get("/livez")
            except Exception as failure:  # whatever it is, it is not a served client
                self.errors.append(repr(failure))
            self.times.append(time.monotonic() - begun)
            time.sleep(0.02)

    def end(self):
        self.over = True
        self.join()
        times = sorted(self.times)
        return f"{len(times)} searches, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms, worst {times[-1] * 1e3:.1f} ms"


def beside(server, what, work, extra_mb):
    before, normal = server.rss_bytes(), Normal(server.port)
    normal.start()
    work()
    grown, text = (server.rss_bytes() - before) / 1e6, normal.end()
    expect(not normal.errors, f"{what}: a normal client is served ({text}) {normal.errors[:1] or ''}")
    expect(grown <= extra_mb, f"{what}: memory grows by {grown:.1f} MB, at most {extra_mb}")


def idle(port, count, hello=b""):
    held = [connect(port) for _ in range(count)]
    for one in held if hello else ():
        one.sendall(hello)
    time.sleep(1)
    for one in held:
        one.close()


def connect_narrow(port):
    """With little room for what it does not read."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    return one


def drip(held, byte, seconds):
    """A byte a second on each connection, as long as the server takes it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for one in held:
            try:
                one.send(byte)
            except OSError:
                pass
        time.sleep(1)
    for one in held:
        one.close()


def unfinished_heads(server, count, seconds):
    held = [connect(server.port) for _ in range(count)]
    for one in held:
        one.send(b"POST /v1/collections/c/search HTTP/1.1\r\nHost: x\r\n")
    drip(held, b"X", seconds)


def no_reader(server, count, seconds):
    body = json.dumps({"limit": 10000, "with_vector": True}).encode()
    request = b"POST /v1/collections/c/scroll HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    held = []
    for _ in range(count):
        one = connect_narrow(server.port)
        one.send(request * 20)
        held.append(one)
    time.sleep(seconds)
    for one in held:
        one.close()


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty SETTINGS: an idle client of gRPC


def kafka_frame(key, version, body):
    data = struct.pack(">hhih", key, version, 1, 4) + b"test" + body
    return struct.pack(">i", len(data)) + data


def unfinished_frames(port, count, seconds):
    """Each announces the largest frame there may be, and drips."""
    held = [connect(port) for _ in range(count)]
    for one in held:
        one.send(struct.pack(">ihhi", 100 << 20, 0, 9, 1))
    drip(held, b"x", seconds)


def no_reader_of_fetches(port, count, seconds):
    topic = struct.pack(">ih", 1, 1) + b"c" + struct.pack(">iiqi", 1, 0, 0, 8 << 20)  # the collection's topic from its beginning, as JSON
    request = kafka_frame(1, 4, struct.pack(">iiiib", -1, 100, 1, 8 << 20, 0) + topic)
    held = []
    for _ in range(count):
        one = connect_narrow(port)
        one.send(request * 20)
        held.append(one)
    time.sleep(seconds)
    got = held[0].recv(8)
    expect(len(got) == 8 and struct.unpack(">i", got[4:])[0] == 1, "Kafka's answer was on its way")
    for one in held:
        one.close()


def kafka_nonsense(port):
    """A frame that is too large, empty, negative, or no request: the connection is closed and nothing is waited for."""
    for data in (struct.pack(">i", (100 << 20) + 1), struct.pack(">i", 0), struct.pack(">i", -1), struct.pack(">ihhi", 8, 999, 0, 1), struct.pack(">ihhi", 8, 0, 99, 1),
                 kafka_frame(1, 4, b"\xff" * 200), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        one = connect(port)
        one.settimeout(20)
        one.sendall(data)
        try:
            closed = one.recv(10) == b""
        except ConnectionResetError:
            closed = True
        except OSError:
            closed = False
        expect(closed, f"Kafka: {data[:12]!r} closes the connection")
        one.close()


def answer(one):
    one.settimeout(60)
    data = b""
    try:
        while b"\r\n" not in data:
            part = one.recv(4096)
            if not part:
                break
            data += part
    except OSError:
        pass
    return data[9:12].decode("ascii", "replace")


def bodies(server):
    one = connect(server.port)
    one.send(b"POST /v1/collections/c/upsert HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n{")
    expect(answer(one) == "413", "a body of 1 TB is announced: 413")
    one.close()
    one = connect(server.port)
    one.send(b"POST /v1/collections/c/upsert HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk, sent = b"100000\r\n" + b" " * (1 << 20) + b"\r\n", 0
    begun, cut = time.monotonic(), False
    try:
        while time.monotonic() - begun < 60:  # past 64 MiB they are read and dropped for 3 s, so that the refusal can be seen
            one.sendall(chunk)
            sent += 1
    except OSError:
        cut = True
    expect(cut, f"chunks without end are cut, after {sent} MiB and {time.monotonic() - begun:.1f} s")
    one.close()
    client = server.client()
    for body, what in (('{"vector":[1],"k":2147483648}', "k of 2^31"), ('{"vector":[' + "1," * 100000 + '1],"k":1}', "100,001 dimensions"),
                       ('{"vector":[' + "[" * 5000, "5,000 brackets"), ('{"filter":"' + "(" * 60000 + '"}', "60,000 parentheses")):
        status, _ = client.raw("POST", "/v1/collections/c/search", body)
        expect(400 <= status < 500, f"{what}: {status}")
    client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = min(hard, options.idle * 2 + 1000) if hard != resource.RLIM_INFINITY else options.idle * 2 + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    count = min(options.idle, limit - 500)
    many = str(count + 500)
    kafka = live.free_port()
    with live.Server(options.binary, None, ["--max-connections", many, "--max-connections-per-address", many, "--kafka-listen", f"127.0.0.1:{kafka}"]) as server:
        server.start()
        client = server.client()
        client.post("/v1/collections", {"name": "c", "dimension": DIMENSION, "metric": "l2"})
        client.post("/v1/collections/c/upsert", {"records": [{"id": i, "vector": [(i * j) % 17 for j in range(DIMENSION)]} for i in range(5000)]})
        client.close()
        beside(server, f"{count} idle connections", lambda: idle(server.port, count), 64)
        beside(server, f"{count} idle connections of Kafka", lambda: idle(kafka, count), 64)
        beside(server, f"{count // 5} idle connections of gRPC", lambda: idle(server.port, count // 5, PREFACE), 128)
        beside(server, "500 frames that never end", lambda: unfinished_frames(kafka, 500, 3), 200)
        beside(server, "16 consumers that never read, 20 fetches each", lambda: no_reader_of_fetches(kafka, 16, 45 if options.slow else 3), 300)
        kafka_nonsense(kafka)
        beside(server, "500 heads that never end", lambda: unfinished_heads(server, 500, 3), 64)
        beside(server, "16 clients that never read, 20 large answers each", lambda: no_reader(server, 16, 45 if options.slow else 3), 300)
        beside(server, "bodies without end", lambda: bodies(server), 160)
        client = server.client()
        expect(client.post("/v1/collections/c/count", {})["count"] == 5000, "afterwards everything is there")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
