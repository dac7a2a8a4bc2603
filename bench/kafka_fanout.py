#!/usr/bin/env python3
"""One topic, read whole by 1, 5 and 20 consumers at once: what the server's CPU and memory are per byte sent.

Batches go from the page cache to the sockets (sendfile), so a further consumer costs the kernel's copy into its socket and nothing else: CPU per
GB and resident memory stay as they are. Consumers are kcat processes; their CPU is shown, because they are what fills the cores. With --clients
(a folder made by ../shared/acceptance/kafka/setup.sh) Apache Kafka is measured in turns with freshet.
usage: scripts/dev bench kafka_fanout [--clients FOLDER] [--records N] [--size BYTES] [--consumers 1,5,20]      (needs confluent-kafka, kcat)
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import kafka_perf
import record
from live import Server, free_port


class Watch(threading.Thread):
    """The most that is resident while others run."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over, self.most = pid, threading.Event(), kafka_perf.resident_mb(pid)

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, kafka_perf.resident_mb(self.pid))

    def end(self):
        self.over.set()
        self.join()
        return round(self.most, 1)


def consume(broker, topic, consumers, args):
    command = ["kcat", "-b", broker.bootstrap, "-t", topic, "-C", "-o", "beginning", "-c", str(args.records), "-q", "-X", "fetch.message.max.bytes=4194304",
               "-X", "queued.max.messages.kbytes=16384"]
    watch, before, clients, begin = Watch(broker.pid), kafka_perf.cpu_seconds(broker.pid), os.times(), time.monotonic()
    watch.start()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(consumers)]
    codes = [one.wait() for one in running]
    seconds, gigabytes, after = time.monotonic() - begin, args.records * args.size * consumers / 1e9, os.times()
    assert codes == [0] * consumers, codes
    row = {"consumers": consumers, "sent_mb_s": round(gigabytes * 1000 / seconds), "server_cpu_s_per_gb": round((kafka_perf.cpu_seconds(broker.pid) - before) / gigabytes, 3),
           "client_cpu_s_per_gb": round((after.children_user + after.children_system - clients.children_user - clients.children_system) / gigabytes, 3),
           "resident_mb": watch.end()}
    print(broker.name, row, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--clients")
    parser.add_argument("--records", type=int, default=200000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--consumers", default="1,5,20", type=lambda text: [int(word) for word in text.split(",")])
    args = parser.parse_args()
    before, folder, apache = record.machine(), tempfile.mkdtemp(prefix="kafka-fanout-"), None
    try:
        lines, port = kafka_perf.write_lines(folder, "lines", args.records, args.size - 1), free_port()
        with Server(args.binary, arguments=["--kafka-listen", f"127.0.0.1:{port}"]) as server:
            server.start()
            brokers = [kafka_perf.Broker("freshet", port, server.process.pid)]
            if args.clients:
                apache, _ = kafka_perf.start_apache(args, folder)
                brokers.append(apache)
            for broker in brokers:
                kafka_perf.topic(broker, "fan", 1)
                subprocess.run(["kcat", "-b", broker.bootstrap, "-t", "fan", "-P", "-X", "acks=all", "-l", lines], check=True)
            result = {"records": args.records, "size": args.size, "resident_mb_before": {b.name: round(kafka_perf.resident_mb(b.pid), 1) for b in brokers}}
            for broker in brokers:
                consume(broker, "fan", 1, args)  # warm: the JVM compiles, the page cache is filled
                result[broker.name] = []
            for consumers in args.consumers:
                for broker in brokers:
                    result[broker.name].append(consume(broker, "fan", consumers, args))
        record.save("kafka_fanout", result, before)
    finally:
        if apache:
            os.kill(apache.pid, 15)
        time.sleep(1 if apache else 0)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
