#!/usr/bin/env python3
"""Durable ingest over HTTP and search latency, alone and during ingest at full speed: freshet bench on a fresh server.

Every write is answered after fdatasync and when it is searchable (the default). Client and server share the machine.
usage: scripts/dev bench http_ingest [--rows N] [--dimension N] [--batch N] [--connections N] [--searchers N] [--seconds N]
"""
import argparse
import json
import os
import subprocess
import sys

import record
from live import Server


def fdatasync_ms(folder, rounds=200):
    """Median of an appended 4 KiB block and its fdatasync: what one round of group commit costs on this disk."""
    import time
    path = os.path.join(folder, "fdatasync-probe")
    times = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(rounds):
        os.write(file, b"x" * 4096)
        start = time.perf_counter()
        os.fdatasync(file)
        times.append(time.perf_counter() - start)
    os.close(file)
    os.unlink(path)
    times.sort()
    return {"p50": round(times[rounds // 2] * 1000, 3), "p99": round(times[rounds * 99 // 100] * 1000, 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--rows", type=int, default=200000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--searchers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=15)
    arguments = parser.parse_args()
    before = record.machine()
    with Server(arguments.binary) as server:
        server.start()
        sync = fdatasync_ms(server.folder)
        command = [arguments.binary, "bench", "--url", server.url]
        for name in ("rows", "dimension", "batch", "connections", "searchers", "seconds"):
            command += [f"--{name}", str(getattr(arguments, name))]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"freshet bench failed\n{server.tail()}")
        result = json.loads(run.stdout)
        result["fdatasync_4k_ms"] = sync
        result["rss_mb"] = round(server.rss_bytes() / 2**20, 1)
        if server.stop() != 0:
            sys.exit(f"the server did not end cleanly\n{server.tail()}")
    record.save("http_ingest", result, before)


if __name__ == "__main__":
    main()
