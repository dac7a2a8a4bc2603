#!/usr/bin/env python3
"""Two builds side by side over HTTP: both serve the same data, and the client asks now one, now the other, in blocks.

What counts is the ratio of the servers' CPU time per block, pair by pair: it stands on a machine that others use, too.
usage: scripts/dev bench http_pair OLD_BINARY NEW_BINARY [--rows N] [--dimension N] [--blocks N]
"""
import argparse
import json
import os
import random
import statistics
import time

import record
from live import Server

BATCH, SEARCHES = 100, 300


def cpu_us(pid):
    """Of all threads that live: nanoseconds on a CPU, by the scheduler."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total / 1000


class Side:
    def __init__(self, server):
        self.server = server
        self.client = server.client()
        self.us = []

    def post(self, path, body):
        status, text = self.client.raw("POST", "/v1/collections" + path, body)
        assert status == 200, text

    def block(self, path, bodies, rest=0.0):
        before = cpu_us(self.server.process.pid)
        for body in bodies:
            self.post(path, body)
        time.sleep(rest)
        self.us.append(cpu_us(self.server.process.pid) - before)


def ratios(sides, per):
    old, new = sides
    pairs = [b / a for a, b in zip(old.us, new.us)]
    result = {"old_us": round(statistics.median(old.us) / per, 1), "new_us": round(statistics.median(new.us) / per, 1),
              "ratio": round(statistics.median(pairs), 3), "pairs": len(pairs)}
    old.us, new.us = [], []
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=30)
    arguments = parser.parse_args()
    before, pick = record.machine(), random.Random(1)

    def vector():
        return [round(pick.random(), 4) for _ in range(arguments.dimension)]

    upserts = [json.dumps({"records": [{"id": first + i, "vector": vector(), "metadata": {"n": i % 10}} for i in range(BATCH)]})
               for first in range(0, arguments.rows, BATCH)]
    searches = [json.dumps({"vector": vector(), "k": 10}) for _ in range(SEARCHES)]
    with Server(arguments.old) as old, Server(arguments.new) as new:
        sides = []
        for server in (old, new):
            server.start()
            sides.append(Side(server))
            sides[-1].post("", json.dumps({"name": "pair", "dimension": arguments.dimension, "metric": "l2"}))
        for turn, at in enumerate(range(0, len(upserts), 10)):
            for side in sides if turn % 2 else sides[::-1]:
                side.block("/pair/upsert", upserts[at:at + 10], rest=0.25)  # linking is part of it
        result = {"ingest_per_record": ratios(sides, 10 * BATCH)}
        time.sleep(3)
        for turn in range(arguments.blocks):
            for side in sides if turn % 2 else sides[::-1]:
                side.block("/pair/search", searches)
        result["search"] = ratios(sides, SEARCHES)
    record.save("http_pair", result, before)


if __name__ == "__main__":
    main()
