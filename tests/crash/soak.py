#!/usr/bin/env python3
"""Churn for minutes or hours: upserts, deletes, searches, snapshots and compaction at a steady rate; resident memory, open files, recall and
latency over time as JSON, and a picture of them. Fails when memory, files, recall or the typical p99 drift.

usage: soak.py --binary FILE [--minutes 10] [--rows 5000] [--writes 200 | --share 0.7] [--searches 50] [--json FILE] [--svg FILE]

--share: writes at this share of what the server takes from closed loops while the searches run, measured first for 30 s; the server has the
first core for itself then, its clients the others.
"""
import argparse
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import live  # noqa: E402

DIMENSION = 64
FREEDOM = 12  # of the rows' directions: as embeddings, not as noise
K = 10
BATCH = 100
WRITERS = 4
BODIES = 240  # encoded once: the clients must not be what is measured
CAPACITY_SECONDS = 30


class Soak:
    def __init__(self, options):
        self.options = options
        self.server = live.Server(options.binary, None, ["--snapshot-interval", "20"])
        self.rows = [set() for _ in range(WRITERS)]  # ids as acknowledged; a writer has ids of its own
        self.stop = threading.Event()
        self.failures = []
        self.latencies, self.writes = [], []
        self.written = [0] * WRITERS
        numbers = random.Random(7)
        self.axes = [[numbers.gauss(0, 1) for _ in range(DIMENSION)] for _ in range(FREEDOM)]
        self.bodies = [self.upserts(numbers, writer) for writer in range(WRITERS) for _ in range(BODIES // WRITERS)]

    def vector(self, numbers):
        amounts = [numbers.gauss(0, 1) for _ in range(FREEDOM)]
        return [round(sum(a * axis[d] for a, axis in zip(amounts, self.axes)) + numbers.gauss(0, 0.2), 3) for d in range(DIMENSION)]

    def an_id(self, numbers, writer):
        return numbers.randrange(self.options.rows * 2 // WRITERS) * WRITERS + writer

    def upserts(self, numbers, writer):
        ids = [self.an_id(numbers, writer) for _ in range(BATCH)]
        return ids, json.dumps({"records": [{"id": i, "vector": self.vector(numbers)} for i in ids]})

    def guarded(self, work):
        try:
            while not self.stop.is_set():
                work()
        except Exception as failure:  # any of them ends the soak, with its text
            self.failures.append(repr(failure))
            self.stop.set()

    def request(self, client, path, body):
        until = time.monotonic() + 30
        while True:
            status, data = client.raw("POST", path, body)
            if 200 <= status < 300:
                return
            if status not in (429, 503) or time.monotonic() > until:
                raise live.Failure(status, data.decode("utf-8", "replace")[:500])
            time.sleep(0.05)

    def write(self, writer, numbers, client):
        if numbers.random() < 0.4:
            ids = [self.an_id(numbers, writer) for _ in range(BATCH)]
            self.request(client, "/v1/collections/soak/delete", json.dumps({"ids": ids}))
            self.rows[writer].difference_update(ids)
        else:
            share = BODIES // WRITERS
            ids, body = self.bodies[writer * share + numbers.randrange(share)]
            self.request(client, "/v1/collections/soak/upsert", body)
            self.rows[writer].update(ids)
        self.written[writer] += BATCH

    def write_paced(self, writer, numbers, client, due):
        begun = time.monotonic()
        self.write(writer, numbers, client)
        self.writes.append(time.monotonic() - begun)
        due[0] += BATCH * WRITERS / self.options.writes
        time.sleep(max(0, due[0] - time.monotonic()))

    def search(self, numbers, client, due):
        begun = time.monotonic()
        hits = client.post("/v1/collections/soak/search", {"vector": self.vector(numbers), "k": K})["hits"]
        self.latencies.append(time.monotonic() - begun)
        if len(hits) != K:
            raise AssertionError(f"{len(hits)} hits")
        due[0] += 1 / self.options.searches
        time.sleep(max(0, due[0] - time.monotonic()))

    def threads(self, write):
        """The searcher and the writers, running: write(writer, numbers, client, due)."""
        begun = time.monotonic()
        works = [lambda c=self.server.client(), g=random.Random(3), d=[begun]: self.search(g, c, d)]
        for writer in range(WRITERS):
            client, due, numbers = self.server.client(), [begun + writer * BATCH / max(1, self.options.writes)], random.Random(10 + writer)
            works.append(lambda w=writer, g=numbers, c=client, d=due: write(w, g, c, d))
        threads = [threading.Thread(target=self.guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        return threads

    def capacity(self):
        """Writes a second of closed loops, searches beside; the first part warms up."""
        threads = self.threads(lambda writer, numbers, client, due: self.write(writer, numbers, client))
        self.stop.wait(CAPACITY_SECONDS / 3)
        begun, before = time.monotonic(), sum(self.written)
        self.stop.wait(CAPACITY_SECONDS * 2 / 3)
        rate = (sum(self.written) - before) / (time.monotonic() - begun)
        self.stop.set()
        for thread in threads:
            thread.join()
        if not self.failures:
            self.stop.clear()
        self.latencies.clear()
        return rate

    def recall(self, numbers, client):
        """Against an exact search of the same moment: the server's own, over the same rows."""
        found = total = 0
        for _ in range(20):
            query = self.vector(numbers)
            near = client.post("/v1/collections/soak/search", {"vector": query, "k": K})["hits"]
            exact = client.post("/v1/collections/soak/search", {"vector": query, "k": K, "exact": True})["hits"]
            found += len({h["id"] for h in near} & {h["id"] for h in exact})
            total += K
        return found / total

    def open_files(self):
        folder, found = f"/proc/{self.server.process.pid}/fd", []
        for one in os.listdir(folder):
            try:
                found.append(os.readlink(os.path.join(folder, one)))
            except OSError:
                pass  # closed since
        return found

    def start(self):
        cores = sorted(os.sched_getaffinity(0))
        apart = self.options.share and len(cores) > 1
        if apart:
            os.sched_setaffinity(0, cores[:1])  # what the server is started with
        self.server.start()
        if apart:
            os.sched_setaffinity(0, cores[1:])

    def run(self):
        options, numbers = self.options, random.Random(1)
        self.start()
        client = self.server.client()
        client.post("/v1/collections", {"name": "soak", "dimension": DIMENSION, "metric": "l2", "id_type": "int64"})
        for at in range(0, options.rows, 500):
            fresh = {i: self.vector(numbers) for i in range(at, min(at + 500, options.rows))}
            client.post("/v1/collections/soak/upsert", {"records": [{"id": i, "vector": v} for i, v in fresh.items()]})
            for one in fresh:
                self.rows[one % WRITERS].add(one)
        self.max_writes = None
        if options.share:
            self.max_writes = round(self.capacity())
            options.writes = round(self.max_writes * options.share)
            print(f"capacity {self.max_writes} writes/s, the soak {options.writes}", flush=True)
        begun = time.monotonic()
        threads = self.threads(self.write_paced)
        samples, rounds = [], 0
        while not self.stop.is_set() and time.monotonic() - begun < options.minutes * 60:
            self.stop.wait(max(1, options.minutes * 60 / 60))
            rounds += 1
            if rounds % 6 == 0:
                client.post("/v1/snapshots")
            if rounds % 15 == 0:
                client.post("/v1/collections/soak/compact", {})
            latencies, self.latencies = sorted(self.latencies), []
            writes, self.writes = sorted(self.writes), []
            tracked = next(int(line.split()[-1]) for line in client.raw("GET", "/metrics")[1].decode().splitlines()
                           if line.startswith('freshet_memory_bytes{kind="allocated"}'))
            open_files = self.open_files()
            samples.append({"tracked_mb": round(tracked / 1e6, 2), "log_files": sum(one.endswith(".log") for one in open_files),
                            "seconds": round(time.monotonic() - begun, 1), "rss_mb": round(self.server.rss_bytes() / 1e6, 2),
                            "files": len(open_files), "recall": self.recall(numbers, client),
                            "search_p99_ms": round(latencies[len(latencies) * 99 // 100] * 1e3, 2) if latencies else None,
                            "write_p99_ms": round(writes[len(writes) * 99 // 100] * 1e3, 2) if writes else None,
                            "searches": len(latencies), "writes": len(writes) * BATCH})
            print(json.dumps(samples[-1]), flush=True)
        self.stop.set()
        for thread in threads:
            thread.join()
        count = client.post("/v1/collections/soak/count", {})["count"]
        rows = sum(len(one) for one in self.rows)
        if count != rows and not self.failures:
            self.failures.append(f"{count} rows, {rows} were acknowledged")
        self.server.stop()
        return samples


def picture(samples, path, title):
    wide, high, left = 760, 150, 60
    series = [("rss_mb", "resident memory, MB"), ("files", "open files"), ("recall", "recall@10"), ("search_p99_ms", "search p99, ms")]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high * len(series) + 40}" font-family="sans-serif" font-size="12">',
           f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="22" font-size="14">{title}</text>']
    last = samples[-1]["seconds"]
    for number, (key, label) in enumerate(series):
        top = 40 + number * high
        values = [s[key] for s in samples if s[key] is not None]
        low, top_value = (0.8, 1.0) if key == "recall" else (0, max(values) * 1.15 or 1)
        points = " ".join(f"{left + s['seconds'] / last * (wide - left - 20):.1f},{top + (high - 40) * (1 - (s[key] - low) / (top_value - low)):.1f}"
                          for s in samples if s[key] is not None)
        out.append(f'<line x1="{left}" y1="{top + high - 40}" x2="{wide - 20}" y2="{top + high - 40}" stroke="#999"/>')
        out.append(f'<polyline points="{points}" fill="none" stroke="#1f6fb2" stroke-width="1.5"/>')
        out.append(f'<text x="{left}" y="{top + high - 22}">{label}: {values[0]:g} at first, {values[-1]:g} at last, at most {max(values):g}</text>')
        out.append(f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{top_value:.4g}</text>')
        out.append(f'<text x="{left - 6}" y="{top + high - 40}" text-anchor="end">{low:g}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(out) + "\n")


def drifts(samples):
    """Later thirds against the second one: the first warms up."""
    third = len(samples) // 3
    if third < 2:
        return []
    def mean(part, key):
        return sum(s[key] for s in part) / len(part)
    middle, end, found = samples[third:2 * third], samples[2 * third:], []
    if mean(end, "rss_mb") > mean(middle, "rss_mb") * 1.15:
        found.append("resident memory grows")
    if mean(end, "files") > mean(middle, "files") + 8:
        found.append("open files grow")
    if mean(end, "recall") < mean(middle, "recall") - 0.02:
        found.append("recall falls")
    def typical(part, key):
        values = sorted(s[key] for s in part if s[key] is not None)
        return values[len(values) // 2] if values else 0
    if typical(end, "search_p99_ms") > 2 * typical(middle, "search_p99_ms") + 5:
        found.append("search p99 grows")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--writes", type=float, default=200)
    parser.add_argument("--searches", type=float, default=50)
    parser.add_argument("--share", type=float)
    parser.add_argument("--json")
    parser.add_argument("--svg")
    options = parser.parse_args()
    soak = Soak(options)
    samples = soak.run()
    found = soak.failures + drifts(samples)
    result = {"capacity_writes_a_second": soak.max_writes, "minutes": options.minutes, "rows": options.rows, "writes_a_second": options.writes, "searches_a_second": options.searches,
              "samples": samples, "findings": found}
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(result, file, indent=1)
    if options.svg:
        picture(samples, options.svg, f"{options.minutes:g} minutes of churn: {options.writes:g} writes/s, {options.searches:g} searches/s, {options.rows} rows")
    print("\n".join(found) if found else "flat")
    print(f"{0 if found else 1} passed, {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
