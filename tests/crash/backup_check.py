#!/usr/bin/env python3
"""Backups of a server that writes, snapshots and compacts all the time: each copy passes verify, opens, has everything that was answered before
it began, nothing that was never written, and whole requests only. A backup at rest answers exactly the same.

usage: backup_check.py --binary FILE [--backups 5] [--seed 1]
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "formats"))
import formats  # noqa: E402
import live  # noqa: E402

GROUPS, SIZE = 60, 6  # ids that are always written in one request


def expect(good, what):
    if not good:
        raise SystemExit(f"FAILED: {what}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


class Writer(threading.Thread):
    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.client, self.numbers = live.Client(port), random.Random(seed)
        self.acked, self.begun, self.turn, self.over, self.failure = {}, {}, 0, False, None

    def run(self):
        try:
            while not self.over:
                self.turn += 1
                group = self.numbers.randrange(GROUPS)
                self.begun[group] = self.turn
                records = [{"id": f"g{group}.{i}", "vector": [group, i, self.turn % 97, 1], "metadata": {"turn": self.turn}} for i in range(SIZE)]
                self.client.patiently("POST", "/v1/collections/b/upsert", {"records": records})
                self.acked[group] = self.turn
        except Exception as failure:  # told at the end
            self.failure = repr(failure)


class Keeper(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.over = live.Client(port), False

    def run(self):
        while not self.over:
            self.client.raw("POST", "/v1/snapshots", "{}")
            self.client.raw("POST", "/v1/collections/b/compact", "{}")


def check_copy(binary, folder, before, after):
    with live.Server(binary, folder) as server:
        server.start()
        groups = {}
        client = server.client()
        for record in client.scroll("b"):
            group, _ = record["id"].split(".")
            groups.setdefault(int(group[1:]), []).append(record["metadata"]["turn"])
        for group, turns in groups.items():
            expect(len(turns) == SIZE and len(set(turns)) == 1, f"group {group} is torn: {turns}")
            expect(before.get(group, 0) <= turns[0] <= after.get(group, 0), f"group {group}: {turns[0]}, answered {before.get(group)}, begun {after.get(group)}")
        missing = set(before) - set(groups)
        expect(not missing, f"groups {missing} are lost")
        client.close()
    return len(groups)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--backups", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="freshet-backup-")
    try:
        with live.Server(options.binary) as server:
            server.start()
            client = server.client()
            client.post("/v1/collections", {"name": "b", "dimension": 4, "metric": "l2", "partitions": 3})
            writer, keeper = Writer(server.port, options.seed), Keeper(server.port)
            writer.start()
            keeper.start()
            for number in range(options.backups):
                time.sleep(0.5)
                before = dict(writer.acked)
                copy, home = os.path.join(scratch, f"copy{number}"), os.path.join(scratch, f"home{number}")
                said = run(options.binary, "backup", server.data, copy)
                after = dict(writer.begun)
                os.mkdir(home)
                run(options.binary, "restore", copy, os.path.join(home, "data"))
                groups = check_copy(options.binary, home, before, after)
                print(f"backup {number}: {groups} groups, {said.strip().split(': ')[1]}")
            writer.over = keeper.over = True
            writer.join()
            keeper.join()
            expect(writer.failure is None, f"the writer: {writer.failure}")
            refused = subprocess.run([options.binary, "backup", server.data, copy], capture_output=True, text=True)
            expect(refused.returncode == 1 and "not empty" in refused.stderr, "a backup into a directory that is not empty")
            formats.fill(client)
            expected = formats.answers(client)
            quiet = os.path.join(scratch, "quiet")
            os.mkdir(quiet)
            run(options.binary, "backup", server.data, os.path.join(quiet, "data"))
            client.close()
        with live.Server(options.binary, quiet) as server:
            server.start()
            expect(formats.answers(server.client()) == expected, "a copy at rest answers differently")
        print(f"{options.backups + 1} passed, 0 failed")
        return 0
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
