#!/usr/bin/env python3
"""What idle collections cost: resident memory and start time with 2,000 of them.

usage: scripts/dev bench idle_collections [--collections N] [--max-mb N --max-start-s N: status 1 above]
The limit of seconds is one of the server's CPU time, and ten times of it of the clock: on a busy machine a start takes longer, not more.
Each collection holds a few records, so that each has a log, a table and its files.
"""
import argparse
import os
import sys
import time

import record
from live import Server


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        words = f.read().rpartition(")")[2].split()
    return round((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--collections", type=int, default=2000)
    parser.add_argument("--records", type=int, default=3)
    parser.add_argument("--max-mb", type=float)
    parser.add_argument("--max-start-s", type=float)
    arguments = parser.parse_args()
    before = record.machine()
    result = {"collections": arguments.collections, "records_each": arguments.records}
    with Server(arguments.binary) as server:
        server.start()
        client = server.client()
        start = time.monotonic()
        for index in range(arguments.collections):
            client.patiently("POST", "/v1/collections", {"name": f"idle-{index}", "dimension": 128, "metric": "l2"})
            if arguments.records:
                client.patiently("POST", f"/v1/collections/idle-{index}/upsert",
                                 {"records": [{"id": n, "vector": [n + 0.5] * 128} for n in range(arguments.records)]})
        result["create_s"] = round(time.monotonic() - start, 2)
        result["rss_mb_after_creation"] = round(server.rss_bytes() / 2**20, 1)
        client.close()
        for name, end in (("after_sigterm", server.stop), ("after_kill", server.kill)):
            end()
            start = time.monotonic()
            server.start(ready=False)
            server.wait_ready()
            result[name] = {"start_s": round(time.monotonic() - start, 3), "start_cpu_s": cpu_seconds(server.process.pid)}
            time.sleep(1)
            result[name]["rss_mb"] = round(server.rss_bytes() / 2**20, 1)
            client = server.client()
            listed = len(client.get("/v1/collections")["collections"])
            found = client.post(f"/v1/collections/idle-{arguments.collections - 1}/count", {})["count"]
            client.close()
            if listed != arguments.collections or found != arguments.records:
                sys.exit(f"{listed} collections are back, the last has {found} records")
        result["files"] = sum(len(files) for _, _, files in os.walk(server.data))
        result["open_files"] = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        result["disk_mb"] = round(sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for folder, _, files in os.walk(server.data)
                                      for name in files) / 2**20, 1)
        server.stop()
    record.save("idle_collections", result, before, keep=not (arguments.max_mb or arguments.max_start_s))
    worst_mb = max(result["rss_mb_after_creation"], result["after_kill"]["rss_mb"], result["after_sigterm"]["rss_mb"])
    starts = (result["after_kill"], result["after_sigterm"])
    worst_s, worst_cpu_s = (max(one[name] for one in starts) for name in ("start_s", "start_cpu_s"))
    late = arguments.max_start_s and (worst_cpu_s > arguments.max_start_s or worst_s > 10 * arguments.max_start_s)
    if late or (arguments.max_mb and worst_mb > arguments.max_mb):
        sys.exit(f"over the limit: {worst_mb} MB, {worst_s} s, {worst_cpu_s} s of CPU time")


if __name__ == "__main__":
    main()
