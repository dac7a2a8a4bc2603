#!/usr/bin/env python3
"""Rounds of kill -9 while librdkafka produces: an idempotent producer, and a transactional one that moves offsets of its source with its output.

The producers are never told: they go on over the restart, as clients do. At the end:
  lost         an acknowledged record, or a record of a committed transaction, is not there
  duplicated   a record is there twice, or one that nobody produced
  torn         a committed reader sees a part of a transaction, or a record of an aborted one
usage: kafka_kill.py --binary freshet [--rounds N] [--seed S] [--up SECONDS]      last line: N passed, N failed (rounds)
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import Server, free_port  # noqa: E402

try:
    import confluent_kafka as kafka
    from confluent_kafka.admin import AdminClient, NewTopic
except ImportError:
    print("skipped: confluent-kafka is not installed")
    sys.exit(77)

QUIET = {"log_level": 0, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20}


class Idempotent(threading.Thread):
    """Numbered records; those whose delivery was reported are acknowledged."""

    def __init__(self, bootstrap, stop):
        super().__init__(daemon=True)
        self.producer = kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1, "message.timeout.ms": 120000, **QUIET})
        self.stop, self.sent, self.acknowledged, self.failed = stop, 0, set(), []

    def delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            self.acknowledged.add(int(message.value()))

    def run(self):
        while not self.stop.is_set():
            try:
                self.producer.produce("plain", key=str(self.sent % 50), value=str(self.sent), on_delivery=self.delivered)
                self.sent += 1
            except BufferError:
                pass
            self.producer.poll(0.0005)
        if self.producer.flush(60):
            self.failed.append("not everything was delivered in 60 s")


class Transactional(threading.Thread):
    """Transactions of 5 records over 2 topics; every fourth is aborted. A commit whose answer is lost is asked for again."""

    def __init__(self, bootstrap, stop, number):
        super().__init__(daemon=True)
        self.bootstrap, self.stop, self.name = bootstrap, stop, f"tx-{number}"
        self.committed, self.aborted, self.unknown, self.failed, self.count = set(), set(), set(), [], 0
        self.restarts = 0

    def fresh(self):
        producer = kafka.Producer({"bootstrap.servers": self.bootstrap, "transactional.id": self.name, "transaction.timeout.ms": 60000,
                                   "linger.ms": 1, **QUIET})
        self.patiently(lambda: producer.init_transactions(30))
        self.restarts += 1
        return producer

    def patiently(self, what, seconds=90):
        until = time.monotonic() + seconds
        while True:
            try:
                return what()
            except kafka.KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def one(self, producer, number):
        producer.begin_transaction()
        for part in range(5):
            producer.produce(f"t{part % 2}", value=f"{self.name}/{number}/{part}")
            producer.poll(0)
        if number % 4 == 3:
            self.aborted.add(number)
            self.patiently(lambda: producer.abort_transaction(30))
        else:
            self.unknown.add(number)
            self.patiently(lambda: producer.commit_transaction(30))
            self.unknown.discard(number)
            self.committed.add(number)

    def run(self):
        producer = None
        while not self.stop.is_set():
            try:
                producer = producer or self.fresh()
                number, self.count = self.count, self.count + 1
                self.one(producer, number)
            except kafka.KafkaException as error:
                if error.args[0].txn_requires_abort():
                    try:
                        self.patiently(lambda: producer.abort_transaction(30))
                        self.unknown.discard(number)
                        self.aborted.add(number)
                        continue
                    except kafka.KafkaException:
                        pass
                producer = None  # fatal: a new instance, as an application would


def read_all(bootstrap, topic):
    consumer = kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "check", "isolation.level": "read_committed", "enable.auto.commit": False, **QUIET})
    end = consumer.get_watermark_offsets(kafka.TopicPartition(topic, 0), timeout=20)[1]
    consumer.assign([kafka.TopicPartition(topic, 0, 0)])
    values, until = [], time.monotonic() + 60
    while consumer.position([kafka.TopicPartition(topic, 0)])[0].offset < end and time.monotonic() < until:
        values += [m.value().decode() for m in consumer.consume(5000, 0.2) if not m.error()]
    at = consumer.position([kafka.TopicPartition(topic, 0)])[0].offset
    consumer.close()
    if at < end:
        raise RuntimeError(f"{topic}: a committed reader stops at {at} of {end}")
    return values


def check(bootstrap, plain, workers):
    complaints = list(plain.failed)
    values = [int(v) for v in read_all(bootstrap, "plain")]
    lost = plain.acknowledged - set(values)
    if lost:
        complaints.append(f"plain: {len(lost)} lost, e.g. {sorted(lost)[:5]}")
    if len(values) != len(set(values)):
        complaints.append(f"plain: {len(values) - len(set(values))} duplicated")
    if max(values, default=-1) >= plain.sent:
        complaints.append("plain: records that nobody sent")
    found = read_all(bootstrap, "t0") + read_all(bootstrap, "t1")
    if len(found) != len(set(found)):
        complaints.append(f"transactions: {len(found) - len(set(found))} records duplicated")
    parts = {}
    for value in found:
        name, number, _ = value.split("/")
        parts[name, int(number)] = parts.get((name, int(number)), 0) + 1
    for worker in workers:
        complaints += worker.failed
        for number in worker.committed:
            if parts.get((worker.name, number)) != 5:
                complaints.append(f"{worker.name}: transaction {number} was committed, {parts.get((worker.name, number), 0)} of 5 records are there")
        for number in worker.aborted:
            if (worker.name, number) in parts:
                complaints.append(f"{worker.name}: transaction {number} was aborted and is there")
        for number in worker.unknown:
            if parts.get((worker.name, number), 5) != 5:
                complaints.append(f"{worker.name}: transaction {number}: {parts[worker.name, number]} of 5 records are there")
    return complaints, len(values), sum(len(w.committed) for w in workers), sum(len(w.aborted) for w in workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--up", type=float, default=2.0, help="seconds between two kills, at most")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    kafka_port = free_port()
    bootstrap = f"127.0.0.1:{kafka_port}"
    stop = threading.Event()
    with Server(args.binary, arguments=["--kafka-listen", bootstrap]) as server:
        server.start()
        admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
        for future in admin.create_topics([NewTopic(t, 1, 1) for t in ("plain", "t0", "t1")]).values():
            future.result(20)
        plain, workers = Idempotent(bootstrap, stop), [Transactional(bootstrap, stop, n) for n in range(2)]
        for thread in [plain, *workers]:
            thread.start()
        for _ in range(args.rounds):
            time.sleep(rng.uniform(args.up / 4, args.up))
            server.kill()
            server.start()
        time.sleep(1)
        stop.set()
        for thread in [plain, *workers]:
            thread.join(120)
            if thread.is_alive():
                raise RuntimeError("a producer does not end")
        complaints, records, committed, aborted = check(bootstrap, plain, workers)
    for line in complaints[:20]:
        print(line)
    print(f"{args.rounds} kills: {records} records of the idempotent producer ({len(plain.acknowledged)} acknowledged), "
          f"{committed} transactions committed, {aborted} aborted, {sum(len(w.unknown) for w in workers)} of unknown end")
    if not plain.acknowledged or not committed:
        print("nothing was produced: the test tests nothing")
        complaints.append("nothing")
    print(f"{0 if complaints else args.rounds} passed, {args.rounds if complaints else 0} failed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
