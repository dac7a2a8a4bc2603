#!/usr/bin/env python3
"""Open-loop load: searches (or, with --writes, upserts) arrive at 1, 2, 5 and 10 times what the best closed loop (of 8, 32, 64 connections) gets out of
the server, whether or not answers come back. Per step: goodput, p99 of what was admitted (from the arrival's due time: a late answer counts), refusals
and whether they carry Retry-After, health and metrics meanwhile; at the end how long it takes to be well again. The closed loops are pools of clients, each
of which waits for its answer: none of them may be refused, before the storm and after it.

Sockets are driven by several processes that pipeline nothing and build no JSON: fixed requests, answers told apart by their status. The server has the
first core for itself and the clients the others, at the peak as in every step: else ten times the load is also ten times the clients' share of its cores.
usage: overload.py --binary FILE [--writes] [--seconds 4] [--processes 2] [--connections 400] [--shared] [--json FILE] [--check]
"""
import argparse
import json
import multiprocessing
import os
import random
import selectors
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import live  # noqa: E402

DIMENSION = 128
ROWS = 20000
EF = 20000  # milliseconds a search: at 10 times capacity the clients, on the same cores, must not be what is full
WRITE_DIMENSION = 32
WRITE_RECORDS = 50  # of a request: the clients must not be what is full; the server parses, logs, applies and links
WRITE_EF = 200


def search_of(numbers):
    return b"load/search", {"vector": [round(numbers.random(), 4) for _ in range(DIMENSION)], "k": 10, "ef": EF}


def write_of(numbers):
    return b"written/upsert", {"records": [{"id": numbers.randrange(ROWS), "vector": [round(numbers.random(), 3) for _ in range(WRITE_DIMENSION)]}
                                           for _ in range(WRITE_RECORDS)]}


def request_of(numbers, writes):
    path, body = write_of(numbers) if writes else search_of(numbers)
    body = json.dumps(body).encode()
    return (b"POST /v1/collections/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path, len(body))) + body


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.due = None


def answer_of(data):
    """(status, has Retry-After, bytes used) of one whole answer, or None."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
    if len(data) < end + 4 + length:
        return None
    return int(head[9:12]), b"retry-after:" in head, end + 4 + length


def drive(port, writes, rate, seconds, connections, seed, results):
    """rate None: a closed loop on every connection. Arrivals that find no free connection wait in line: their time runs."""
    numbers = random.Random(seed)
    requests = [request_of(numbers, writes) for _ in range(64)]
    selector = selectors.DefaultSelector()
    idle = []
    for _ in range(connections):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        idle.append(connection)
    good, refused, bare, failed, dropped, latencies, refusals, waiting = 0, 0, 0, 0, 0, [], [], []
    begun = time.monotonic()
    next_due, end = begun, begun + seconds
    while True:
        now = time.monotonic()
        if now >= end + (0 if rate is None else 1):
            break
        while rate is not None and next_due <= now and next_due < end:
            waiting.append(next_due)
            next_due += 1 / rate
        while idle and now < end and (rate is None or waiting):
            connection = idle.pop()
            connection.due = now if rate is None else waiting.pop(0)
            try:
                connection.socket.send(requests[numbers.randrange(64)])
            except OSError:
                failed += 1
        wait = 0.001 if rate is None else max(0, min(next_due - time.monotonic(), 0.01))
        for key, _ in selector.select(wait):
            connection = key.data
            try:
                part = connection.socket.recv(65536)
            except OSError:
                part = b""
            if not part:
                failed += connection.due is not None
                selector.unregister(connection.socket)
                connection.socket.close()
                continue
            connection.data += part
            answer = answer_of(connection.data)
            if answer is None:
                continue
            took = time.monotonic() - connection.due
            connection.data = connection.data[answer[2]:]
            if answer[0] == 200:
                good += 1
                latencies.append(took)
            elif answer[0] in (429, 503):
                refused += 1
                bare += not answer[1]
                refusals.append(took)
            else:
                failed += 1
            connection.due = None
            idle.append(connection)
    dropped = len(waiting)
    results.put((good, refused, bare, failed, dropped, latencies, refusals))


def step(port, rate, options, seconds, connections):
    results, workers = multiprocessing.Queue(), []
    for number in range(options.processes):
        share = None if rate is None else rate / options.processes
        arguments = (port, options.writes, share, seconds, connections // options.processes, number, results)
        workers.append(multiprocessing.Process(target=drive, args=arguments))
        workers[-1].start()
    client, health = live.Client(port, 10), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.monotonic()
        status, _ = client.raw("GET", "/livez")
        metrics, _ = client.raw("GET", "/metrics")
        health.append((time.monotonic() - begun, status == 200 and metrics == 200))
        time.sleep(0.1)
    answers = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    good, refused, bare, failed, dropped = (sum(a[i] for a in answers) for i in range(5))
    latencies = sorted(x for a in answers for x in a[5])
    refusals = sorted(x for a in answers for x in a[6])
    return {"connections": connections, "offered": rate, "goodput": round(good / seconds, 1), "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1e3, 1) if latencies else None,
            "refused": refused, "refusals_without_retry_after": bare, "refusal_p99_ms": round(refusals[len(refusals) * 99 // 100] * 1e3, 1) if refusals else None,
            "failed": failed, "never_sent": dropped, "health_failures": sum(not h[1] for h in health), "health_worst_ms": round(max(h[0] for h in health) * 1e3, 1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--writes", action="store_true", help="upserts instead of searches")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--shared", action="store_true", help="server and clients on the same cores")
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    numbers = random.Random(4)
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1 and not options.shared
    with live.Server(options.binary) as server:
        if apart:
            os.sched_setaffinity(0, cores[:1])  # what the server is started with
        server.start()
        if apart:
            os.sched_setaffinity(0, cores[1:])
        client = server.client()
        client.post("/v1/collections", {"name": "load", "dimension": DIMENSION, "metric": "l2"})
        client.post("/v1/collections", {"name": "written", "dimension": WRITE_DIMENSION, "metric": "l2", "ef_construction": WRITE_EF})
        for at in range(0, ROWS, 1000):
            client.post("/v1/collections/load/upsert", {"records": [{"id": i, "vector": [round(numbers.random(), 3) for _ in range(DIMENSION)]}
                                                                   for i in range(at, at + 1000)]})
        while client.get("/v1/collections/load").get("unlinked", 0):
            time.sleep(0.2)
        client.close()
        loops = [step(server.port, None, options, options.seconds, connections) for connections in (8, 32, 64)]
        peak = max(loops, key=lambda one: one["goodput"])
        print(json.dumps(peak), flush=True)
        steps = []
        for times in (1, 2, 5, 10):
            steps.append({"times": times, **step(server.port, peak["goodput"] * times, options, options.seconds, options.connections)})
            print(json.dumps(steps[-1]), flush=True)
        well, begun = None, time.monotonic()
        client = server.client()
        while well is None and time.monotonic() - begun < 20:
            at = time.monotonic()
            status, _ = client.raw("POST", "/v1/collections/load/search", json.dumps({"vector": [0.5] * DIMENSION, "k": 10}))
            if status == 200 and time.monotonic() - at < 0.1:
                well = time.monotonic() - begun
        time.sleep(2)
        loops.append(step(server.port, None, options, options.seconds, 64))
        print(json.dumps(loops[-1]), flush=True)
    worst = steps[-1]
    result = {"closed_loops": loops, "peak": peak, "steps": steps, "well_again_s": round(well, 2) if well is not None else None}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(result, out, indent=1)
    checks = {"goodput at 10x is at least 80 percent of the peak": worst["goodput"] >= 0.8 * peak["goodput"],
              "admitted p99 at 10x is at most 3 times that of 8 clients": worst["p99_ms"] is not None and worst["p99_ms"] <= 3 * loops[0]["p99_ms"],
              "pools of up to 64 clients are never refused": all(loop["refused"] == 0 for loop in loops),
              "what is too much is refused from 2x on, not kept waiting": all(s["refused"] > 0 for s in steps[1:]),
              "nothing failed": all(s["failed"] == 0 for s in steps),
              "every refusal has Retry-After": all(s["refusals_without_retry_after"] == 0 for s in steps),
              "well again within 5 s": well is not None and well <= 5, "health and metrics are never shed": all(s["health_failures"] == 0 for s in steps)}
    for name, good in checks.items():
        print(("ok   " if good else "MISS ") + name)
    print(f"{sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
    return 1 if options.check and not all(checks.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
