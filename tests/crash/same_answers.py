#!/usr/bin/env python3
"""Delete the snapshots, compact everything, restart: the answers are the same.

A collection is filled, every third record is replaced, every fifth deleted, some replaced again. Then its records and the
answers of searches (wide enough to be exact) are noted, and compared after: a kill -9; a kill -9 with all snapshots
deleted; a compaction; a compaction and all snapshots deleted.
usage: same_answers.py --binary freshet [--rows N] [--seed S]      last line: N passed, N failed (comparisons)
"""
import argparse
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import Failure, Server  # noqa: E402

DIMENSION = 24
PATH = "/v1/collections/same"


def fill(client, rows, seed):
    rng = random.Random(seed)

    def upsert(ids):
        for at in range(0, len(ids), 500):
            records = [{"id": i, "vector": [rng.uniform(-1, 1) for _ in range(DIMENSION)], "metadata": {"n": rng.randrange(100), "i": i},
                        "timestamp": 1_700_000_000_000 + i, "model_version": f"m{rng.randrange(3)}"} for i in ids[at:at + 500]]
            client.patiently("POST", PATH + "/upsert", {"records": records})

    client.post("/v1/collections", {"name": "same", "dimension": DIMENSION, "metric": "cosine", "partitions": 2})
    everything = list(range(rows))
    upsert(everything)
    upsert(everything[::3])
    for at in range(0, rows, 2500):
        client.patiently("POST", PATH + "/delete", {"ids": everything[at:at + 2500:5]})
    client.patiently("POST", "/v1/snapshots")
    upsert(rng.sample(everything, rows // 10))
    client.patiently("POST", PATH + "/delete", {"filter": "n == 42"})


def answers(client, rows, seed):
    rng = random.Random(seed + 1)
    records = [(r["id"], r["vector"], r["metadata"], r.get("timestamp"), r.get("model_version")) for r in client.scroll("same", with_vector=True)]
    searches = []
    for turn in range(60):
        body = {"vector": [rng.uniform(-1, 1) for _ in range(DIMENSION)], "k": 20, "ef": min(32768, max(2000, rows)), "output": ["*"]}
        if turn % 3 == 1:
            body["filter"] = "n < 20"
        if turn % 3 == 2:
            body["exact"] = True
        hits = client.post(PATH + "/search", body)["hits"]
        searches.append([(h["id"], round(h["distance"], 5), h["metadata"], h["offset"]) for h in hits])
    count = client.post(PATH + "/count", {})["count"]
    return {"records": records, "searches": searches, "count": count}


def delete_snapshots(folder):
    """Everything that the log can make again; how many manifests that were. Layout: server/engine/README.md."""
    snapshots = os.path.join(folder, "snap")
    removed = sum(name.startswith("MANIFEST") for _, _, files in os.walk(snapshots) for name in files)
    shutil.rmtree(snapshots, ignore_errors=True)
    return removed


def compact(client):
    try:
        client.patiently("POST", PATH + "/compact", seconds=60)
        return True
    except Failure as failure:
        if failure.status in (404, 405):
            return False
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    passed = failed = 0
    with Server(arguments.binary) as server:
        server.start()
        client = server.client()
        fill(client, arguments.rows, arguments.seed)
        before = answers(client, arguments.rows, arguments.seed)

        def again(name, snapshots=False, stop=False):
            nonlocal client, passed, failed
            client.close()
            if stop:
                if server.stop() != 0:
                    print(f"{name}: SIGTERM did not end it cleanly")
                    failed += 1
            else:
                server.kill()
            removed = delete_snapshots(server.data) if snapshots else 0
            if snapshots and removed == 0:
                print(f"{name}: there was no snapshot to delete")
                failed += 1
            start = time.monotonic()
            server.start()
            seconds = time.monotonic() - start
            client = server.client()
            after = answers(client, arguments.rows, arguments.seed)
            different = [part for part in before if before[part] != after[part]]
            print(f"{name}: {'the same' if not different else 'DIFFERENT: ' + ', '.join(different)}; {after['count']} records, "
                  f"{removed} snapshots removed, ready after {seconds:.2f} s")
            if different:
                failed += 1
                server.keep = True
                for part in different:
                    if isinstance(before[part], list):
                        for one, other in zip(before[part], after[part]):
                            if one != other:
                                print("   before", str(one)[:300], "\n   after ", str(other)[:300])
                                break
            else:
                passed += 1

        again("killed")
        again("killed, snapshots deleted", snapshots=True)
        again("stopped", stop=True)
        compacted = compact(client)
        again("compacted, killed" if compacted else "killed again (no route to compact)")
        if compacted:
            compact(client)
        client.patiently("POST", "/v1/snapshots")
        again("compacted, snapshots deleted", snapshots=True)
        client.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
