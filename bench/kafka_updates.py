#!/usr/bin/env python3
"""A collection fed through Kafka by librdkafka: keyed updates over hot keys end in the model's state.

1,000,000 updates (and deletes) over 50,000 keys of 16 dimensions; every key's end is compared with a model. How fresh they are: kafka_vectors.py.
usage: scripts/dev bench kafka_updates [--updates N] [--keys N]      (needs confluent-kafka)
"""
import argparse
import json
import random
import sys
import time

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, NewTopic

import record
from live import Server, free_port


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--updates", type=int, default=1000000)
    parser.add_argument("--keys", type=int, default=50000)
    args = parser.parse_args()
    before = record.machine()
    bootstrap = f"127.0.0.1:{free_port()}"
    with Server(args.binary, arguments=["--kafka-listen", bootstrap]) as server:
        server.start()
        result = {"updates": updates(bootstrap, server.client(timeout=120), args), "rss_mb": round(server.rss_bytes() / 2**20, 1)}
        record.save("kafka_updates", result, before)
        wrong = result["updates"]["wrong"] + result["updates"]["failed"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
