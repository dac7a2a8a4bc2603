#!/usr/bin/env python3
"""Rounds of kill -9 at random moments against a live server, with concurrent writers over HTTP and a history check.

Each round: writers update and delete their own keys, snapshots and compactions are asked for meanwhile, the server is killed
after a random time (in some rounds during recovery, too), started again, and everything that is in it is compared with
everything that was acknowledged:
  lost         an acknowledged update is not there with its latest value, or a request took effect in part
  duplicated   a record is there twice, or an event_id stands twice in the log
  resurrected  an acknowledged delete is back, or something is there that nobody wrote
usage: kill_loop.py --binary freshet [--rounds N] [--seed S]      last line: N passed, N failed (rounds)
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import ERRORS, Client, Failure, Server, Writer  # noqa: E402

DIMENSION = 16
COLLECTION = "crash"


def vector_of(key, revision):
    rng = random.Random(f"{key}/{revision}")
    return [rng.uniform(-1, 1) for _ in range(DIMENSION)]


def make(key, revision, event_id):
    return {"id": key, "vector": vector_of(key, revision), "metadata": {"revision": revision}, "event_id": event_id}


def disturb(port, collections, stop, seed, counts):
    """Ask for snapshots and compactions while the writers write."""
    rng = random.Random(seed)
    client = Client(port, timeout=30)
    while not stop.is_set():
        stop.wait(rng.uniform(0, 0.03))
        path = rng.choice(["/v1/snapshots", f"/v1/collections/{rng.choice(collections)}/compact"])
        try:
            client.post(path)
            counts[path] = counts.get(path, 0) + 1
        except Failure as failure:
            if failure.status not in (404, 405, 429, 503):
                counts["errors"] = counts.get("errors", []) + [f"{path}: {failure}"]
        except ERRORS:
            break
    client.close()


class Loop:
    """Of any server that starts, dies and stops as live.Server does: tests/power brings a virtual machine."""

    def __init__(self, arguments, server):
        self.arguments = arguments
        self.random = random.Random(arguments.seed)
        self.server = server
        self.recovery_s, self.recovery_cuts = 0.08, 0.4  # the longest that a start is left alone before it is killed; how often
        self.collections = [COLLECTION + (str(n) if n else "") for n in range(arguments.collections)]
        self.states = [{} for _ in range(arguments.writers)]
        self.keys = [[f"w{w}-{n}" if n % 2 else w * 1_000_000 + n for n in range(arguments.keys)] for w in range(arguments.writers)]
        self.totals = {"updates": 0, "deletes": 0, "requests": 0, "under_way": 0, "kills": 0, "recovery_kills": 0, "disturbances": 0}
        self.events_seen = {}
        self.log_from = {}

    def create(self):
        client = self.server.client()
        for name in self.collections:
            client.post("/v1/collections", {"name": name, "dimension": DIMENSION, "metric": "l2", "partitions": self.arguments.partitions})
        client.close()

    def collection_of(self, writer):
        return self.collections[writer % len(self.collections)]

    def state_of(self, collection):
        """What must be in it: key -> revision."""
        return {k: v for index, state in enumerate(self.states) if self.collection_of(index) == collection for k, v in state.items()}

    def write_and_kill(self, number):
        writers = []
        for index in range(self.arguments.writers):
            writer = Writer(self.server.port, self.collection_of(index), f"r{number}w{index}", self.keys[index], self.states[index],
                            f"{self.arguments.seed}/{number}/{index}", make)
            writer.revision = number * 1_000_000
            writers.append(writer)
        stop = threading.Event()
        counts = {}
        disturber = threading.Thread(target=disturb, args=(self.server.port, self.collections, stop, f"{self.arguments.seed}/{number}", counts))
        for writer in writers:
            writer.start()
        disturber.start()
        time.sleep(self.random.uniform(0.005, self.arguments.longest_ms / 1000))
        self.server.kill()
        stop.set()
        for writer in writers:
            writer.join()
        disturber.join()
        for name in ("updates", "deletes", "requests"):
            self.totals[name] += sum(getattr(w, name) for w in writers)
        self.totals["kills"] += 1
        self.totals["under_way"] += sum(w.pending is not None for w in writers)
        self.totals["disturbances"] += sum(v for k, v in counts.items() if k != "errors")
        return writers, [f"{w.label}: {w.error!r}" for w in writers if w.error] + counts.get("errors", [])

    def kill_recovery(self):
        """Kill the starting server, maybe several times, before it is ready."""
        while self.random.random() < self.recovery_cuts:
            self.server.start(ready=False)
            time.sleep(self.random.uniform(0, self.recovery_s))
            self.server.kill()
            self.totals["recovery_kills"] += 1

    def check_records(self, client, collection, writers):
        found, wrong = {}, []
        for record in client.scroll(collection, limit=self.random.choice([7, 100, 1000]), with_vector=True):
            key = record["id"]
            if key in found:
                wrong.append(f"duplicated: {key} is scrolled twice")
            found[key] = record["metadata"]["revision"]
            if any(abs(a - b) > 1e-5 for a, b in zip(record["vector"], vector_of(key, found[key]))):
                wrong.append(f"lost: the vector of {key} is not that of revision {found[key]}")
        retried = []
        for writer in writers:
            before = writer.pending
            wrong += writer.settle(found)
            if before is not None and "upsert" in before and self.random.random() < 0.5:
                retried.append((writer, before))
        expected = self.state_of(collection)
        wrong += [f"lost: {k} (revision {v}); there is {found.get(k)}" for k, v in expected.items() if found.get(k) != v]
        wrong += [f"resurrected: {k} (revision {v})" for k, v in found.items() if k not in expected]
        count = client.post(f"/v1/collections/{collection}/count", {})["count"]
        if count != len(found):
            wrong.append(f"duplicated: count says {count}, scroll gave {len(found)}")
        wrong += self.retry(client, collection, retried)
        return wrong

    def retry(self, client, collection, retried):
        """A client that got no answer asks again with the same event ids: the result is as if it had asked once."""
        wrong = []
        for writer, pending in retried:
            index = int(writer.label.split("w")[1])
            reply = client.patiently("POST", f"/v1/collections/{collection}/upsert", {"records": pending["records"]})
            if reply["upserted"] + reply["duplicates"] != len(pending["records"]):
                wrong.append(f"lost: the retried request of {len(pending['records'])} records answered {reply}")
            for key in pending["upsert"]:
                self.states[index][key] = pending["revision"]
        return wrong

    def check_log(self, client, collection):
        """Every event_id stands in the log at most once; offsets are ascending. Reads on from the last round."""
        wrong = []
        for partition in range(self.arguments.partitions):
            begin = self.log_from.get((collection, partition), 0)
            last = begin - 1
            for record in client.log(collection, partition, begin):
                if record["offset"] <= last:
                    wrong.append(f"duplicated: offset {record['offset']} of partition {partition} after {last}")
                last = record["offset"]
                event = record.get("event_id")
                if event is not None:
                    here = (collection, partition, record["offset"])
                    if self.events_seen.setdefault(event, here) != here:
                        wrong.append(f"duplicated: event {event} at {here} and at {self.events_seen[event]}")
            self.log_from[(collection, partition)] = last + 1
        return wrong

    def check_search(self, client, collection):
        wrong = []
        everything = list(self.state_of(collection).items())
        for key, revision in self.random.sample(everything, min(20, len(everything))):
            hits = client.post(f"/v1/collections/{collection}/search", {"vector": vector_of(key, revision), "k": 3, "output": ["*"]})["hits"]
            if not hits or hits[0]["id"] != key or hits[0]["metadata"]["revision"] != revision:
                wrong.append(f"lost: a search for {key} (revision {revision}) finds {hits[:1]}")
        gone = [k for index, keys in enumerate(self.keys) if self.collection_of(index) == collection for k in keys if k not in self.states[index]]
        for key in self.random.sample(gone, min(10, len(gone))):
            hits = client.post(f"/v1/collections/{collection}/get", {"ids": [key]})["records"]
            if hits:
                wrong.append(f"resurrected: get finds {hits}")
        return wrong

    def round(self, number):
        writers, wrong = self.write_and_kill(number)
        self.kill_recovery()
        self.server.start()
        client = self.server.client()
        for collection in self.collections:
            wrong += self.check_records(client, collection, [w for w in writers if w.collection == collection])
            wrong += self.check_log(client, collection)
            wrong += self.check_search(client, collection)
        client.close()
        return wrong

    def run(self):
        passed = failed = 0
        start = time.monotonic()
        with self.server:
            self.server.start()
            self.create()
            for number in range(1, self.arguments.rounds + 1):
                wrong = self.round(number)
                if wrong:
                    failed += 1
                    self.server.keep = True
                    print(f"round {number} (seed {self.arguments.seed}): {len(wrong)} findings; the data stay in {self.server.folder}")
                    for line in wrong[:10]:
                        print("   ", line)
                    break
                passed += 1
            if not failed:
                status = self.server.stop()
                if status != 0:
                    failed += 1
                    print(f"the server ended with status {status} on SIGTERM:\n{self.server.tail()}")
        live = sum(len(s) for s in self.states)
        print(f"{self.totals} {live} records at the end, {len(self.events_seen)} events in the log, {time.monotonic() - start:.0f} s")
        print(f"{passed} passed, {failed} failed")
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--keys", type=int, default=150, help="of each writer")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--collections", type=int, default=2)
    parser.add_argument("--longest-ms", type=int, default=800, help="before a kill")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    parser.add_argument("--serve", nargs=argparse.REMAINDER, default=[], help="further arguments of freshet serve")
    arguments = parser.parse_args()
    return Loop(arguments, Server(arguments.binary, keep=arguments.keep, arguments=arguments.serve)).run()


if __name__ == "__main__":
    sys.exit(main())
