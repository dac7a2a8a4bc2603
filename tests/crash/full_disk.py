#!/usr/bin/env python3
"""A disk that is really full: the server on a tmpfs of a few MiB. Upserts get a retriable 503 with a reason, searches go on, deletes and
compaction run on the reserve, and everything resumes without a restart when there is space again.

usage: full_disk.py --binary FILE [--mb 24]     exit 77 and a reason when a tmpfs cannot be mounted
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import live  # noqa: E402

DIMENSION = 64


def expect(good, what):
    if not good:
        raise SystemExit(f"FAILED: {what}")


def records(first, count, random_numbers):
    return [{"id": f"r{i}", "vector": [random_numbers.random() for _ in range(DIMENSION)], "metadata": {"part": i % 2}}
            for i in range(first, first + count)]


def fill(client, random_numbers, written):
    """Upserts until the disk is full: ids that were answered, and the refusal."""
    for batch in range(2000):
        body = {"records": records(written, 100, random_numbers)}
        try:
            client.post("/v1/collections/c/upsert", body)
            written += 100
        except live.Failure as failure:
            return written, failure
    raise SystemExit("FAILED: the disk is never full")


def count(client):
    return client.post("/v1/collections/c/count", {})["count"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--mb", type=int, default=24)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="freshet-full-")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={options.mb}m", "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode:
        os.rmdir(folder)
        print(f"skipped: a tmpfs cannot be mounted here: {mount.stderr.strip()}")
        return 77
    numbers = random.Random(5)
    try:
        server = live.Server(options.binary, folder, ["--threads", "1"], keep=True)
        server.notes = folder + ".notes"
        server.start()
        client = server.client()
        client.post("/v1/collections", {"name": "c", "dimension": DIMENSION, "metric": "l2"})
        ballast = os.path.join(folder, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"x" * ((options.mb - 5) << 20))
        written, refusal = fill(client, numbers, 0)
        expect(refusal.status == 503 and "disk" in refusal.body, f"a full disk answers {refusal.status} {refusal.body}")
        expect(count(client) == written, "what was answered is not all there, or what was refused is")
        hits = client.post("/v1/collections/c/search", {"vector": [0.5] * DIMENSION, "k": 10})["hits"]
        expect(len(hits) == 10, "searches do not go on")
        print(f"full after {written} records: {refusal.body[:160]}")

        # until nothing fits at all, not even one small record
        while True:
            try:
                client.post("/v1/collections/c/upsert", {"records": records(written, 1, numbers)})
                written += 1
            except live.Failure as failure:
                expect(failure.status == 503, f"{failure}")
                break
        ids = [f"r{i}" for i in range(1, written) if i % 10]
        gone = sum(client.post("/v1/collections/c/delete", {"ids": ids[at:at + 1000]})["deleted"] for at in range(0, len(ids), 1000))
        expect(gone == len(ids), f"{gone} deleted of {len(ids)}")
        expect(count(client) == written - gone, "deletes do not run on the reserve")
        try:
            client.post("/v1/collections/c/upsert", {"records": records(written, 100, numbers)})
            expect(False, "an upsert ate the reserve")
        except live.Failure as failure:
            expect(failure.status == 503 and "deletes" in failure.body, f"{failure}")
        print(f"{gone} deleted on the reserve")

        os.remove(ballast)  # space is back
        until = time.monotonic() + 60
        resumed = False
        while not resumed:
            try:
                client.post("/v1/collections/c/upsert", {"records": records(written, 100, numbers)})
                resumed = True
            except live.Failure as failure:
                expect(failure.status == 503 and time.monotonic() < until, f"it does not resume: {failure}")
                time.sleep(0.1)
        alive = written - gone + 100
        expect(count(client) == alive, "after the resumption the count is wrong")
        before = client.get("/v1/collections/c")["bytes"]["log"]
        try:  # the snapshot before it may not fit yet: then it says so, and compaction runs all the same
            client.post("/v1/collections/c/compact", {})
        except live.Failure as failure:
            expect(failure.status == 503, f"compaction: {failure}")
        after = client.get("/v1/collections/c")["bytes"]["log"]
        expect(after < before, f"compaction gave nothing back: {before}, {after}")
        client.post("/v1/snapshots")
        print(f"resumed without a restart; compaction: {before} bytes of log, then {after}")

        client.patiently("POST", "/v1/collections/c/upsert", {"records": records(0, 1, numbers)}, 10)  # the reserve is held again
        server.kill()  # and it starts on a disk that is full to the last byte
        written += 100
        try:
            with open(ballast, "wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
        except OSError:
            pass
        server.start()
        client = server.client()
        expect(count(client) == alive, "a start on a full disk")
        try:
            client.post("/v1/collections/c/upsert", {"records": records(written, 500, numbers)})
            expect(False, "an upsert on a full disk")
        except live.Failure as failure:
            expect(failure.status == 503, f"{failure}")
        gone = client.post("/v1/collections/c/delete", {"filter": "part == 1"})["deleted"]
        expect(count(client) == alive - gone, "delete by filter on the reserve")
        if os.path.exists(ballast):
            os.remove(ballast)
        client.patiently("POST", "/v1/collections/c/upsert", {"records": records(written, 100, numbers)}, 10)
        expect(count(client) == alive - gone + 100, "after the second resumption")
        server.stop()
        checked = subprocess.run([options.binary, "verify", server.data], capture_output=True, text=True)
        expect(checked.returncode == 0, "verify: " + checked.stdout + checked.stderr)
        print("started on a full disk, deleted, resumed, verified")
        print("1 passed, 0 failed")
        return 0
    finally:
        try:
            server.kill()
        except Exception:
            pass
        subprocess.run(["umount", "-l", folder], check=False)
        os.rmdir(folder)


if __name__ == "__main__":
    sys.exit(main())
