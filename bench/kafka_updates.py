#!/usr/bin/env python3
"""A collection fed through Kafka by librdkafka: keyed updates over hot keys end in the model's state; and vector events, produced until searchable.

1. 1,000,000 updates (and deletes) over 50,000 keys of 16 dimensions; every key's end is compared with a model.
2. 128 dimensions: the capacity of an idempotent producer, then 70 % of it for some seconds while another connection searches all the time; freshness is from
   produce() to the delivery report, which comes when the record is on disk and searchable.
usage: scripts/dev bench kafka_updates [--updates N] [--keys N] [--events N] [--seconds N] [--only updates,events]      (needs confluent-kafka)
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


def collection(bootstrap, name, dimension):
    config = {"freshet.dimension": str(dimension), "freshet.metric": "l2"}
    admin = AdminClient({"bootstrap.servers": bootstrap})  # held: a collected one cancels its futures
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(10)


def producer_of(bootstrap, **more):
    return kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5,
                           "queue.buffering.max.messages": 1000000, "queue.buffering.max.kbytes": 2000000, **more})


def updates(bootstrap, http, args):
    collection(bootstrap, "hot", 16)
    rng, model, failed = random.Random(5), {}, []
    texts = [json.dumps([round(rng.uniform(-1, 1), 3) for _ in range(16)]) for _ in range(500)]
    producer = producer_of(bootstrap)
    report = lambda error, _: failed.append(str(error)) if error else None
    begin = time.monotonic()
    for number in range(args.updates):
        key = rng.randrange(args.keys)
        if rng.random() < 0.05:
            value, model[key] = None, None
        else:
            value, model[key] = f'{{"vector":{texts[number % 500]},"metadata":{{"n":{number}}}}}', number
        while True:
            try:
                producer.produce("hot", key=str(key), value=value, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 1000 == 0:
            producer.poll(0)
    left = producer.flush(300)
    seconds = time.monotonic() - begin
    found = {int(r["id"]): r["metadata"]["n"] for r in http.scroll("hot", limit=10000)}
    wrong = {k for k in model if found.get(k) != model[k]} | (found.keys() - model.keys())
    return {"updates": args.updates, "keys": args.keys, "records_s": round(args.updates / seconds), "live": len(found), "wrong": len(wrong),
            "failed": len(failed) + left, "counted": http.post("/v1/collections/hot/count", {})["count"]}


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def search(port, stop, searches, bodies):
    client = Client(port)
    texts = [json.dumps({"vector": json.loads(body)["vector"], "k": 10}) for body in bodies]
    while not stop.is_set():
        client.raw("POST", "/v1/collections/events/search", texts[searches.value % len(texts)])
        searches.value += 1


def freshness(bootstrap, server, args):
    collection(bootstrap, "events", 128)
    rng, stop, searches = random.Random(9), multiprocessing.Event(), multiprocessing.Value("q", 0)
    bodies = [f'{{"vector":{json.dumps([round(rng.uniform(-1, 1), 4) for _ in range(128)])}}}' for _ in range(200)]

    searcher = multiprocessing.Process(target=search, args=(server.port, stop, searches, bodies[:50]), daemon=True)  # its own: it would stop our clock
    producer = producer_of(bootstrap)
    for number in range(1000):
        producer.produce("events", key=str(number), value=bodies[number % 200])
    producer.flush(60)
    searcher.start()
    begin = time.monotonic()
    for number in range(args.events):
        producer.produce("events", key=str(number % 20000), value=bodies[number % 200])
        producer.poll(0)
    producer.flush(120)
    capacity = args.events / (time.monotonic() - begin)
    steady, waits, failed = producer_of(bootstrap, **{"linger.ms": 0}), [], []
    rate, begin, number = capacity * 0.7, time.monotonic(), 0
    before = searches.value
    while time.monotonic() - begin < args.seconds:
        due = int((time.monotonic() - begin) * rate)
        while number < due:
            at = time.monotonic()
            steady.produce("events", key=str(number % 20000), value=bodies[number % 200],
                           on_delivery=lambda error, _, at=at: failed.append(error) if error else waits.append(time.monotonic() - at))
            number += 1
        steady.poll(0.0005)
    seconds, searched = time.monotonic() - begin, searches.value - before
    steady.flush(60)
    stop.set()
    searcher.join(10)
    return {"dimension": 128, "capacity_records_s": round(capacity), "records_s": round(number / seconds), "searches_s": round(searched / seconds),
            "failed": len(failed), "p50_ms": round(percentile(waits, 0.5) * 1000, 2), "p99_ms": round(percentile(waits, 0.99) * 1000, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--updates", type=int, default=1000000)
    parser.add_argument("--keys", type=int, default=50000)
    parser.add_argument("--events", type=int, default=40000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", default="updates,events", type=lambda text: text.split(","))
    args = parser.parse_args()
    before = record.machine()
    bootstrap = f"127.0.0.1:{free_port()}"
    with Server(args.binary, arguments=["--kafka-listen", bootstrap]) as server:
        server.start()
        wrong = 0
        if "updates" in args.only:
            result = {"updates": updates(bootstrap, server.client(timeout=120), args), "rss_mb": round(server.rss_bytes() / 2**20, 1)}
            record.save("kafka_updates", result, before)
            wrong = result["updates"]["wrong"] + result["updates"]["failed"]
        if "events" in args.only:
            record.save("kafka_events", {"vector_events": freshness(bootstrap, server, args), "rss_mb": round(server.rss_bytes() / 2**20, 1)}, before)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
