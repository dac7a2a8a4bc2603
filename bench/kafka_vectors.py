#!/usr/bin/env python3
"""Vector events through Kafka: how long from produce() until searchable, at a share of the capacity that can be kept up, with searches running.

1. Capacity: an idempotent producer sends as fast as it is taken for --seconds; what was acknowledged in the last three quarters of it counts. Rows that
   wait for their links are bounded by the engine, so this is not the rate of a burst; how many wait is read at the start and the end of what counts.
2. The same at --share of it, open loop: event n is due at n / rate, and its wait counts from then, also when the client was late. It ends with the
   delivery report, which comes when the record is on disk and searchable.
Before both every entity is inserted once, so that both replace rows. Meanwhile another process searches at a steady rate. 128 dimensions, JSON.
usage: scripts/dev bench kafka_vectors [--seconds N] [--share X] [--searches N] [--entities N]      (needs confluent-kafka)
"""
import argparse
import json
import multiprocessing
import random
import sys
import time

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, NewTopic

import record
from live import Client, Server, free_port

DIMENSION = 128


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def bodies_make(count):
    """Vectors around 200 centres: a stream of embeddings is neither uniform noise nor 200 points."""
    rng = random.Random(9)
    centres = [[rng.uniform(-1, 1) for _ in range(DIMENSION)] for _ in range(200)]
    bodies = []
    for number in range(count):
        vector = [round(c + rng.uniform(-0.4, 0.4), 3) for c in centres[number % 200]]
        bodies.append(f'{{"vector":{json.dumps(vector)},"metadata":{{"n":{number}}}}}')
    return bodies


def search(port, stop, figures, rate, bodies):
    client = Client(port)
    texts = [json.dumps({"vector": json.loads(body)["vector"], "k": 10}) for body in bodies]
    begin, done, waits = time.monotonic(), 0, []
    while not stop.is_set():
        due = begin + done / rate
        now = time.monotonic()
        if now < due:
            time.sleep(due - now)
        status, _ = client.raw("POST", "/v1/collections/events/search", texts[done % len(texts)])
        assert status == 200
        done += 1
        waits.append(time.monotonic() - max(due, now))
    figures.put({"searches_s": round(done / (time.monotonic() - begin)), "p50_ms": round(percentile(waits, 0.5) * 1000, 2),
                 "p99_ms": round(percentile(waits, 0.99) * 1000, 2)})


class Searching:
    def __init__(self, port, rate, bodies):
        self.stop, self.figures = multiprocessing.Event(), multiprocessing.Queue()  # a process of its own: it would stop our clock
        self.process = multiprocessing.Process(target=search, args=(port, self.stop, self.figures, rate, bodies), daemon=True)
        self.process.start()

    def end(self):
        self.stop.set()
        figures = self.figures.get(timeout=10)
        self.process.join(10)
        return figures


def producer_of(bootstrap, bodies, **more):
    """Connected, with its producer id: librdkafka asks for one every 500 ms until its first connection stands, so that a run which begins before has a
    first half or whole second that says nothing of the server, and more than 1 % of a minute."""
    producer = kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "lz4", **more})
    producer.produce("events", key="0", value=bodies[0])
    assert producer.flush(30) == 0
    return producer


def unlinked_of(server):
    return server.client().get("/v1/collections/events")["unlinked"]


def wait_linked(server):
    while unlinked_of(server) > 1000:
        time.sleep(0.5)


def load(bootstrap, server, args, bodies):
    producer = producer_of(bootstrap, bodies, **{"linger.ms": 20, "queue.buffering.max.messages": 1000000})
    for number in range(args.entities):
        producer.produce("events", key=str(number), value=bodies[number % len(bodies)])
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(300) == 0
    wait_linked(server)


def capacity_of(bootstrap, server, args, bodies):
    producer = producer_of(bootstrap, bodies, **{"linger.ms": 5, "queue.buffering.max.messages": 2000})  # what waits in the client is not capacity
    acked, failed = [0], []

    def report(error, _):
        if error:
            failed.append(str(error))
        acked[0] += 1
    searching, begin, number = Searching(server.port, args.searches, bodies[:200]), time.monotonic(), 0
    mark, at_mark, unlinked = None, 0, []
    while time.monotonic() - begin < args.seconds:
        try:
            producer.produce("events", key=str(number % args.entities), value=bodies[number % len(bodies)], on_delivery=report)
            number += 1
        except BufferError:
            producer.poll(0.005)
        if number % 64 == 0:
            producer.poll(0)
        if mark is None and time.monotonic() - begin > args.seconds / 4:
            mark, at_mark = time.monotonic(), acked[0]
            unlinked.append(unlinked_of(server))
    rate = (acked[0] - at_mark) / (time.monotonic() - mark)
    unlinked.append(unlinked_of(server))
    producer.flush(60)
    return rate, {"records_s": round(rate), "unlinked_begin_end": unlinked, "failed": len(failed), "searches": searching.end()}


def steady(bootstrap, server, args, bodies, rate):
    producer, waits, failed = producer_of(bootstrap, bodies, **{"linger.ms": 0}), [], []

    def report(due):
        return lambda error, _: failed.append(str(error)) if error else waits.append(time.monotonic() - due)
    searching, begin, number = Searching(server.port, args.searches, bodies[:200]), time.monotonic(), 0
    while time.monotonic() - begin < args.seconds:
        due = int((time.monotonic() - begin) * rate)
        while number < due:
            producer.produce("events", key=str(number % args.entities), value=bodies[number % len(bodies)], on_delivery=report(begin + number / rate))
            number += 1
        producer.poll(0.0005)
    seconds, unlinked = time.monotonic() - begin, unlinked_of(server)
    producer.flush(60)
    return {"records_s": round(number / seconds), "failed": len(failed), "unlinked_end": unlinked, "p50_ms": round(percentile(waits, 0.5) * 1000, 2),
            "p90_ms": round(percentile(waits, 0.9) * 1000, 2), "p99_ms": round(percentile(waits, 0.99) * 1000, 2), "max_ms": round(max(waits) * 1000, 1),
            "searches": searching.end()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--seconds", type=float, default=60, help="of each part")
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--rate", type=float, default=0, help="records a second of part 2, instead of a measured capacity")
    parser.add_argument("--searches", type=float, default=300, help="a second")
    parser.add_argument("--entities", type=int, default=50000)
    parser.add_argument("--distinct", type=int, default=20000)
    args = parser.parse_args()
    before, bootstrap, bodies = record.machine(), f"127.0.0.1:{free_port()}", bodies_make(args.distinct)
    with Server(args.binary, arguments=["--kafka-listen", bootstrap]) as server:
        server.start()
        config = {"freshet.dimension": str(DIMENSION), "freshet.metric": "l2"}
        admin = AdminClient({"bootstrap.servers": bootstrap})  # held: a collected one cancels its futures
        admin.create_topics([NewTopic("events", 1, 1, config=config)])["events"].result(10)
        load(bootstrap, server, args, bodies)
        rate, capacity = args.rate / args.share, None
        if not args.rate:
            rate, capacity = capacity_of(bootstrap, server, args, bodies)
            print(capacity, flush=True)
            wait_linked(server)
        result = {"dimension": DIMENSION, "seconds": args.seconds, "entities": args.entities, "share": args.share, "capacity": capacity,
                  "steady": steady(bootstrap, server, args, bodies, rate * args.share), "rss_mb": round(server.rss_bytes() / 2**20, 1)}
        record.save("kafka_vectors", result, before, keep=args.seconds >= 60)
    return 1 if result["steady"]["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
