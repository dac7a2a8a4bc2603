#!/usr/bin/env python3
"""kcat against running brokers, interleaved: records/s, CPU seconds of server and client, resident memory.

usage: kafka_perf.py [--records 1000000] [--rounds 2] NAME=PORT:PID ...     (needs kcat; topics are made by the broker)
Each round produces the same lines of 99 bytes with acks=all, then consumes them, on 1 partition.
"""
import argparse
import os
import random
import string
import subprocess
import tempfile
import time


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    return int(next(line for line in open(f"/proc/{pid}/status", encoding="ascii") if line.startswith("VmRSS")).split()[1])


def timed(label, name, pid, records, command):
    server, client, begin = cpu_seconds(pid), os.times(), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.monotonic() - begin, os.times()
    client_cpu = after.children_user + after.children_system - client.children_user - client.children_system
    print(f"{name} {label}: {records / seconds:,.0f} records/s, server CPU {cpu_seconds(pid) - server:.2f} s, client CPU {client_cpu:.2f} s, "
          f"resident {resident_kib(pid) / 1024:.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("targets", nargs="+")
    args = parser.parse_args()
    source = random.Random(1)
    alphabet = string.ascii_letters + string.digits
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lines:
        for _ in range(args.records):
            lines.write("".join(source.choices(alphabet, k=99)) + "\n")
        lines.flush()
        for round_number in range(args.rounds):
            for target in args.targets:
                name, _, place = target.partition("=")
                port, pid = place.split(":")
                topic = f"perf-{round_number}-{time.time_ns()}"
                broker = ["kcat", "-b", f"127.0.0.1:{port}", "-t", topic]
                timed("produce", name, pid, args.records, broker + ["-P", "-X", "acks=all", "-X", "queue.buffering.max.messages=2000000",
                                                                     "-l", lines.name])
                timed("consume", name, pid, args.records, broker + ["-C", "-o", "beginning", "-c", str(args.records), "-q"])


if __name__ == "__main__":
    main()
