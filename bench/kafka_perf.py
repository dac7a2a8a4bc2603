#!/usr/bin/env python3
"""freshet and Apache Kafka behind the same clients in one interleaved run: rates, CPU of server and client, latency, memory, start.

Both brokers are started here. CLIENTS is a folder made by ../shared/acceptance/kafka/setup.sh: Apache Kafka's jars and its own tools; kcat comes from
the system. freshet acknowledges after fdatasync, Apache Kafka from the page cache. `freshet none` is a topic with freshet.durability=none.
Memory is made warm before every run of either (warm_memory).
usage: scripts/dev bench kafka_perf --clients FOLDER [--records N] [--rounds N] [--only produce,consume,java,latency]   (needs confluent-kafka)
"""
import argparse
import os
import random
import re
import shutil
import string
import subprocess
import sys
import tempfile
import time

from confluent_kafka.admin import AdminClient, NewTopic

import record
from live import Server, free_port


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def warm_memory(folder, megabytes=1024):
    """What a virtual machine's host has taken back, or never gave, costs its first user ten times a copy: that would be charged to whoever writes the page
    cache first. A file as large as what is about to be written, made and removed, leaves memory that is there."""
    path = os.path.join(folder, "warm")
    with open(path, "wb") as out:
        for _ in range(megabytes):
            out.write(bytes(1 << 20))
    os.unlink(path)


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) / 1024


class Broker:
    def __init__(self, name, port, pid, folder=tempfile.gettempdir()):
        self.name, self.port, self.pid, self.folder, self.figures = name, port, pid, folder, {}

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def timed(self, label, records, command, keep=None):
        warm_memory(self.folder)
        server, client, begin = cpu_seconds(self.pid), os.times(), time.monotonic()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE if keep else subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        seconds, after = time.monotonic() - begin, os.times()
        row = {"records_s": round(records / seconds), "server_cpu_s_per_million": round((cpu_seconds(self.pid) - server) * 1e6 / records, 3),
               "client_cpu_s_per_million": round((after.children_user + after.children_system - client.children_user - client.children_system) * 1e6 / records, 3)}
        if keep:
            row.update(keep(done.stdout))
        self.figures.setdefault(label, []).append(row)
        print(self.name, label, row, flush=True)


def tool(args, *words):
    return [os.path.join(args.clients, "broker", "ktool.sh"), *words]


def topic(broker, name, partitions, **configs):
    config = {key.replace("_", "."): value for key, value in configs.items()}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})  # held: a collected one cancels its futures
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(20)
    time.sleep(0.2)
    return name


def java_rate(text):  # the tool's own: without the start of its JVM
    found = re.findall(r"([\d.]+) records/sec", text)
    return {"records_s": round(float(found[-1]))}


def latencies(text):
    median = re.search(r"50th = ([\d.]+), 99th = ([\d.]+)", text)
    return {"p50_ms": float(median.group(1)), "p99_ms": float(median.group(2))}


def one_round(args, brokers, number, lines):
    small, large = lines
    for broker in brokers:
        kcat = ["kcat", "-b", broker.bootstrap]
        for partitions in (1, 16):
            if "produce" in args.only:
                name = topic(broker, f"kcat-{number}-{partitions}", partitions)
                broker.timed(f"produce 100 B kcat {partitions}p", args.records, kcat + ["-t", name, "-P", "-X", "acks=all", "-X", "queue.buffering.max.messages=2000000",
                                                                                  "-l", small])
            if "java" in args.only:
                name = topic(broker, f"java-{number}-{partitions}", partitions)
                broker.timed(f"produce 100 B java {partitions}p", args.records,
                             tool(args, "org.apache.kafka.tools.ProducerPerformance", "--topic", name, "--num-records", str(args.records), "--record-size", "100",
                                  "--throughput", "-1", "--command-property", f"bootstrap.servers={broker.bootstrap}", "acks=all"), java_rate)
        if "consume" in args.only:
            broker.timed("consume 100 B kcat", args.records, kcat + ["-t", f"kcat-{number}-1", "-C", "-o", "beginning", "-c", str(args.records), "-q"])
            name, count = topic(broker, f"large-{number}", 1), args.records // 4
            broker.timed("produce 1 KiB kcat", count, kcat + ["-t", name, "-P", "-X", "acks=all", "-X", "queue.buffering.max.messages=2000000", "-l", large])
            broker.timed("consume 1 KiB kcat", count, kcat + ["-t", name, "-C", "-o", "beginning", "-c", str(count), "-q", "-X", "fetch.message.max.bytes=4194304"])
        if "latency" in args.only:
            for durability in ("sync", "none") if broker.name == "freshet" else ("page cache",):
                configs = {"freshet_durability": durability} if broker.name == "freshet" else {}
                name = topic(broker, f"latency-{number}-{durability.replace(' ', '-')}", 1, **configs)
                broker.timed(f"end to end 100 B, {durability}", 3000, tool(args, "org.apache.kafka.tools.EndToEndLatency", "--bootstrap-server", broker.bootstrap,
                                                                     "--topic", name, "--num-records", "3000", "--producer-acks", "all", "--record-size", "100"), latencies)


def write_lines(folder, name, count, size):
    source, alphabet, path = random.Random(1), string.ascii_letters + string.digits, os.path.join(folder, name)
    pool = ["".join(source.choices(alphabet, k=size)) for _ in range(1000)]
    with open(path, "w", encoding="ascii") as out:
        for i in range(count):
            out.write(f"{i:08d}{pool[i % 1000][8:]}\n")
    return path


def start_apache(args, folder):
    port = free_port()
    environment = {**os.environ, "KDIR": os.path.join(folder, "apache"), "HEAP": "1g"}
    text = subprocess.run([os.path.join(args.clients, "broker", "start.sh"), str(port), str(free_port())], env=environment, check=True, capture_output=True, text=True).stdout
    return Broker("apache", port, int(re.search(r"pid (\d+)", text).group(1)), folder), int(re.search(r"after (\d+) ms", text).group(1))


def best(rows):
    """Of several rounds the best of each: what else ran took the rest."""
    return {key: (max if key == "records_s" else min)(row[key] for row in rows if key in row) for key in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--clients", required=True)
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="produce,consume,java,latency", type=lambda text: text.split(","))
    args = parser.parse_args()
    before, folder = record.machine(), tempfile.mkdtemp(prefix="kafka-perf-")
    kafka = free_port()
    apache = None
    try:
        lines = write_lines(folder, "small", args.records, 99), write_lines(folder, "large", args.records // 4, 1023)
        with Server(args.binary, arguments=["--kafka-listen", f"127.0.0.1:{kafka}"]) as server:
            server.start(ready=False)
            ready_s = server.wait_ready()
            apache, apache_ms = start_apache(args, folder)
            brokers = [Broker("freshet", kafka, server.process.pid, folder), apache]
            idle = {broker.name: round(resident_mb(broker.pid), 1) for broker in brokers}
            for number in range(args.rounds):
                one_round(args, brokers if number % 2 == 0 else brokers[::-1], number, lines)
            result = {"records": args.records, "rounds": args.rounds, "start_s": {"freshet": round(ready_s, 3), "apache": apache_ms / 1000}, "resident_mb_idle": idle,
                      "resident_mb_after": {broker.name: round(resident_mb(broker.pid), 1) for broker in brokers},
                      "best": {broker.name: {label: best(rows) for label, rows in broker.figures.items()} for broker in brokers},
                      "rounds_of": {broker.name: broker.figures for broker in brokers}}
        record.save("kafka_perf", result, before)
    finally:
        if apache:
            os.kill(apache.pid, 15)
        time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
