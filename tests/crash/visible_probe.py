#!/usr/bin/env python3
"""Acknowledged means searchable: probes that upsert on one connection and search on another, under load.

Each probe writes one record, waits for the answer, and at once asks another connection for the nearest record of exactly
that vector: anything but the record itself, with the value just written, is a miss. Further processes write at full speed
into the same collection meanwhile, and every tenth probe deletes its record and must not find it again.
usage: visible_probe.py --binary freshet [--probes 100000]      prints one JSON; status 1 when there is a miss
"""
import argparse
import json
import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import Client, Failure, Server  # noqa: E402

DIMENSION = 32
PATH = "/v1/collections/probe"


def vector(rng):
    return [round(rng.uniform(-1, 1), 5) for _ in range(DIMENSION)]


def probe(port, seed, count, queue):
    rng = random.Random(seed)
    writing, searching = Client(port), Client(port)
    misses, latencies = [], []
    for number in range(count):
        key, value = f"p{seed}-{number % 500}", vector(rng)  # keys come again: updates as well as inserts
        start = time.perf_counter()
        writing.patiently("POST", PATH + "/upsert", {"records": [{"id": key, "vector": value, "metadata": {"n": number}}]})
        hits = searching.patiently("POST", PATH + "/search", {"vector": value, "k": 1, "output": ["n"]})["hits"]
        latencies.append(time.perf_counter() - start)
        if not hits or hits[0]["id"] != key or hits[0]["metadata"].get("n") != number:
            misses.append(f"{key} #{number}: {hits}")
        if number % 10 == 9:
            writing.patiently("POST", PATH + "/delete", {"ids": [key]})
            hits = searching.patiently("POST", PATH + "/search", {"vector": value, "k": 1})["hits"]
            if hits and hits[0]["id"] == key:
                misses.append(f"{key} #{number}: found after its delete was acknowledged")
    latencies.sort()
    queue.put((misses, latencies))


def load(port, seed, stop):
    """Full-speed writes beside the probes; ids come again, so that rows die and their slots are used anew."""
    rng = random.Random(seed)
    client = Client(port)
    pool = [vector(rng) for _ in range(2000)]
    while not stop.is_set():
        records = [{"id": f"l{seed}-{rng.randrange(20000)}", "vector": [v + 3 for v in rng.choice(pool)]} for _ in range(100)]
        try:
            client.patiently("POST", PATH + "/upsert", {"records": records})
        except Failure:
            time.sleep(0.1)
    client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--probes", type=int, default=100000)
    parser.add_argument("--probers", type=int, default=6)
    parser.add_argument("--loaders", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    start = time.monotonic()
    with Server(arguments.binary) as server:
        server.start()
        client = server.client()
        client.post("/v1/collections", {"name": "probe", "dimension": DIMENSION, "metric": "l2"})
        stop, queue = multiprocessing.Event(), multiprocessing.Queue()
        loaders = [multiprocessing.Process(target=load, args=(server.port, arguments.seed * 1000 + i, stop), daemon=True)
                   for i in range(arguments.loaders)]
        each = -(-arguments.probes // arguments.probers)
        probers = [multiprocessing.Process(target=probe, args=(server.port, arguments.seed * 100 + i, each, queue), daemon=True)
                   for i in range(arguments.probers)]
        for process in loaders + probers:
            process.start()
        misses, latencies = [], []
        finished = 0
        while finished < len(probers):
            try:
                found, times = queue.get(timeout=1)
            except Exception:  # queue.Empty
                dead = [p for p in probers if p.exitcode not in (None, 0)]
                if dead or server.process.poll() is not None:
                    sys.exit(f"a prober or the server ended early\n{server.tail()}")
                continue
            misses += found
            latencies += times
            finished += 1
        seconds = time.monotonic() - start
        stop.set()
        for process in loaders + probers:
            process.join(20)
        loaded = client.post(PATH + "/count", {})["count"]
        client.close()
        latencies.sort()
        print(json.dumps({"bench": "visible_probe", "probes": len(latencies), "misses": len(misses), "seconds": round(seconds, 1),
                          "records": loaded, "upsert_and_search_ms": {
                              "p50": round(1000 * latencies[len(latencies) // 2], 3),
                              "p99": round(1000 * latencies[len(latencies) * 99 // 100], 3)}}))
        for line in misses[:10]:
            print("miss:", line)
        status = server.stop()
        if status != 0:
            sys.exit(f"the server ended with status {status}\n{server.tail()}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
