#!/usr/bin/env python3
"""Time to /readyz and to the first answer after kill -9: with a snapshot (warm and cold cache) and by replaying the whole log.

usage: scripts/dev bench restart [--rows 1000000] [--dimension 128] [--file base.u8bin]    without a file: made-up vectors
Cold: the data directory's pages are dropped from the cache (fdatasync, then posix_fadvise DONTNEED) before the start.
"""
import argparse
import os
import subprocess
import sys
import time

import record
from live import Server

sys.path.insert(0, os.path.join(record.ROOT, "tests", "crash"))
from same_answers import delete_snapshots  # noqa: E402


def load(server, arguments):
    if arguments.file:
        command = [arguments.binary, "import", arguments.file, "--collection", "restart", "--create", "--metric", "l2", "--batch", "1000",
                   "--url", server.url, "--state", server.folder]
    else:
        command = [arguments.binary, "bench", "--collection", "restart", "--rows", str(arguments.rows), "--dimension",
                   str(arguments.dimension), "--batch", "1000", "--searchers", "0", "--keep", "--url", server.url]
    start = time.monotonic()
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"loading failed\n{server.tail()}")
    return time.monotonic() - start


def wait_linked(client, seconds):
    """Until no row waits for its links: the state that a snapshot of a quiet server has."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if client.get("/v1/collections/restart")["unlinked"] == 0:
            break
        time.sleep(0.5)
    return time.monotonic() - start


def drop_cache(folder):
    for path, _, files in os.walk(folder):
        for name in files:
            file = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fdatasync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def once(server, dimension, rows):
    start = time.monotonic()
    server.start(ready=False)
    server.wait_ready(seconds=3600)
    ready = time.monotonic() - start
    client = server.client()
    answer = time.monotonic()
    hits = client.post("/v1/collections/restart/search", {"vector": [1.0] * dimension, "k": 10})["hits"]
    first = time.monotonic() - answer
    count = client.post("/v1/collections/restart/count", {})["count"]
    client.close()
    if count != rows or len(hits) != 10:
        sys.exit(f"{count} of {rows} records are back, {len(hits)} hits")
    return {"ready_s": round(ready, 3), "first_search_ms": round(first * 1000, 1), "rss_mb": round(server.rss_bytes() / 2**20, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--file")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    before = record.machine()
    result = {"with_snapshot_warm": [], "with_snapshot_cold": []}
    with Server(arguments.binary) as server:
        server.start()
        result["load_s"] = round(load(server, arguments), 1)
        client = server.client()
        result["linking_s_after_load"] = round(wait_linked(client, 3600), 1)
        client.timeout = 600
        client.close()
        start = time.monotonic()
        client.post("/v1/snapshots")
        result["snapshot_s"] = round(time.monotonic() - start, 2)
        info = client.get("/v1/collections/restart")
        rows, dimension = info["count"], info["dimension"]
        result.update(rows=rows, dimension=dimension, bytes=info["bytes"])
        client.close()
        for _ in range(arguments.rounds):
            server.kill()
            result["with_snapshot_warm"].append(once(server, dimension, rows))
        for _ in range(arguments.rounds):
            server.kill()
            drop_cache(server.data)
            result["with_snapshot_cold"].append(once(server, dimension, rows))
        server.kill()
        result["snapshots_deleted"] = delete_snapshots(server.data)
        result["without_snapshot"] = once(server, dimension, rows)
        server.kill()
    record.save("restart", result, before)


if __name__ == "__main__":
    main()
