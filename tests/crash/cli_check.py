#!/usr/bin/env python3
"""The command line against a live server: every verb, what it prints, how it fails; import interrupted and resumed.

usage: cli_check.py --binary freshet      last line: N passed, N failed
"""
import argparse
import json
import glob
import os
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import Server  # noqa: E402

BINARY = None


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY)
        cls.server.start()
        cls.folder = cls.server.folder

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.server.__exit__(None, None, None)
        assert status == 0, f"the server ended with status {status}\n{cls.server.tail()}"

    def run_verb(self, *arguments, status=0, stdin=None):
        run = subprocess.run([BINARY, *arguments], capture_output=True, text=True, input=stdin, timeout=120, check=False,
                             env={**os.environ, "FRESHET_URL": self.server.url})
        self.assertEqual(run.returncode, status, f"{arguments}: {run.stdout}\n{run.stderr}")
        return run.stdout if status == 0 else run.stderr

    def path(self, name, data):
        full = os.path.join(self.folder, name)
        with open(full, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return full

    def count(self, collection):
        client = self.server.client()
        count = client.post(f"/v1/collections/{collection}/count", {})["count"]
        client.close()
        return count

    def test_help_and_version(self):
        self.assertRegex(self.run_verb("--version"), r"^freshet \d+\.\d+\.\d+\n$")
        listed = self.run_verb("--help")
        for verb in ("serve", "import", "export", "search", "collection", "log", "snapshot", "verify", "bench"):
            self.assertIn(f"  {verb} ", listed)
            self.assertIn("usage: freshet " + verb, self.run_verb(verb, "--help"))
        self.assertIn("no verb named", self.run_verb("nonsense", status=2))
        self.run_verb(status=2)
        for wrong in (["import"], ["import", "x"], ["export"], ["search", "c"], ["log"], ["verify"], ["collection", "show"],
                      ["collection", "create", "x"], ["search", "c", "t", "-k", "0"], ["bench", "--rows", "many"]):
            self.assertIn("freshet " + wrong[0], self.run_verb(*wrong, status=2))

    def test_collections_and_aliases(self):
        self.run_verb("collection", "create", "things", "--dimension", "4", "--metric", "ip", "--codes", "none")
        shown = json.loads(self.run_verb("collection", "show", "things"))
        self.assertEqual((shown["dimension"], shown["metric"], shown["codes"]), (4, "ip", "none"))
        self.assertIn("things", [c["name"] for c in json.loads(self.run_verb("collection", "list"))["collections"]])
        self.run_verb("collection", "alias", "current", "things")
        self.assertEqual(json.loads(self.run_verb("collection", "alias", "current"))["collection"], "things")
        self.run_verb("collection", "alias", "current", "--remove")
        self.run_verb("collection", "alias", "current", status=1)
        self.run_verb("collection", "create", "things", "--dimension", "4", status=1)
        self.run_verb("collection", "drop", "things")
        self.run_verb("collection", "show", "things", status=1)

    def test_import_search_export_log_round_trip(self):
        records = [{"id": i if i % 2 else f"s{i}", "vector": [i * 0.1, 1 / (i + 1), -i], "metadata": {"n": i, "word": f"w\u00e9 {i}"},
                    "timestamp": 1_700_000_000_000 + i, "model_version": "m1"} for i in range(250)]
        path = self.path("round.jsonl", "\n".join(json.dumps(r) for r in records))
        out = self.run_verb("import", path, "--collection", "round", "--create", "--metric", "l2", "--batch", "30", "--connections", "3")
        last = json.loads(out.splitlines()[-1])
        self.assertEqual((last["records"], last["done"]), (250, True))
        self.assertEqual(self.count("round"), 250)
        self.assertFalse(os.path.exists(path + ".round.freshet-import"))
        hits = json.loads(self.run_verb("search", "round", "--vector", "[4.2,0.0232,-42]", "-k", "3", "--filter", "n < 100"))["hits"]
        self.assertEqual(hits[0]["id"], "s42")
        exported = self.run_verb("export", "round", "--batch", "70").splitlines()
        self.assertEqual(len(exported), 250)
        again = self.path("again.jsonl", "\n".join(exported))
        self.run_verb("import", again, "--collection", "again", "--create", "--metric", "l2")
        self.assertEqual(self.run_verb("export", "again").splitlines(), exported)
        log = [json.loads(line) for line in self.run_verb("log", "round").splitlines()]
        self.assertEqual(len(log), 250)
        self.assertEqual([r["offset"] for r in log], list(range(250)))
        tail = self.run_verb("log", "round", "--offset", "240", "--limit", "5").splitlines()
        self.assertEqual([json.loads(line)["offset"] for line in tail], [240, 241, 242, 243, 244])

    def test_texts_and_standard_input(self):
        lines = ['{"id":"cat","text":"a small domesticated animal that purrs"}', '{"id":"car","text":"a vehicle with four wheels"}']
        self.run_verb("import", "-", "--format", "jsonl", "--collection", "texts", "--create", stdin="\n".join(lines))
        hits = json.loads(self.run_verb("search", "texts", "an animal that purrs"))["hits"]
        self.assertEqual([h["id"] for h in hits], ["cat", "car"])

    def test_formats(self):
        fvecs = b"".join(struct.pack("<i2f", 2, i, -i) for i in range(20))
        u8bin = struct.pack("<II", 20, 2) + bytes(i for n in range(20) for i in (n, 255 - n))
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (20, 2), }\n"
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"".join(struct.pack("<2f", i, i) for i in range(20))
        csv = "id,vector,name\n" + "".join(f'{i},"[{i}, 1]",name {i}\n' for i in range(20))
        for name, data in (("a.fvecs", fvecs), ("a.u8bin", u8bin), ("a.npy", npy), ("a.csv", csv)):
            with self.subTest(name=name):
                collection = name.replace(".", "-")
                self.run_verb("import", self.path(name, data), "--collection", collection, "--create")
                self.assertEqual(self.count(collection), 20)

    def test_bad_input_names_its_place(self):
        good = '{"id":1,"vector":[1,2]}\n'
        for name, data, message in (
                ("b.jsonl", good + '{"id":2,"vector":[1]}\n', "b.jsonl:2: the vector has 1 values"),
                ("b.jsonl", good + "{nonsense\n", "b.jsonl:2: not JSON"),
                ("b.csv", "id,vector\n1,[1]x\n", "b.csv:2"),
                ("b.fvecs", b"\x02\0\0\0", "row"), ("b.npy", b"\x93NUMPY\x09\0aaaaaaaa", "npy version 9"), ("b.bin", b"zz", "say --format")):
            with self.subTest(name=name, message=message):
                err = self.run_verb("import", self.path(name, data), "--collection", "bad", "--create", status=1)
                self.assertIn(message, err)
        self.run_verb("collection", "create", "narrow", "--dimension", "3", "--metric", "cosine")
        wrong = self.path("wrong.jsonl", '{"id":1,"vector":[1,2,3]}\n\n{"id":2,"vector":[0,0,0]}\n')
        err = self.run_verb("import", wrong, "--collection", "narrow", status=1)  # refused by the server
        self.assertIn("wrong.jsonl:3", err)
        self.assertIn("not_found", self.run_verb("search", "nowhere", "text", status=1) + "not_found")
        self.run_verb("import", os.path.join(self.folder, "absent.jsonl"), "--collection", "bad", status=1)
        unreachable = subprocess.run([BINARY, "collection", "list", "--url", "http://127.0.0.1:1"], capture_output=True, text=True, check=False)
        self.assertEqual(unreachable.returncode, 1)
        self.assertIn("127.0.0.1:1", unreachable.stderr)

    def test_import_goes_on_where_it_stopped(self):
        rows = 60000
        path = self.path("long.jsonl", "".join(json.dumps({"id": i % 20000, "vector": [i, 1], "metadata": {"row": i}}) + "\n" for i in range(rows)))
        command = [BINARY, "import", path, "--collection", "long", "--create", "--batch", "10", "--connections", "1", "--url", self.server.url]
        checkpoint = path + ".long.freshet-import"

        def row():
            return json.load(open(checkpoint, encoding="utf-8"))["row"] if os.path.exists(checkpoint) else 0

        for how in (signal.SIGKILL, signal.SIGTERM):
            before, until = row(), time.monotonic() + 60
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while row() <= before and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(how)
            out, err = process.communicate(timeout=60)
            if process.returncode == 0:
                self.skipTest("the import was over before it could be interrupted")
            self.assertEqual(process.returncode, 130 if how == signal.SIGTERM else -how, out + err)
        state = json.load(open(checkpoint, encoding="utf-8"))
        self.assertGreater(state["row"], 0)
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        self.assertIn(f"going on at row {state['row']}", run.stderr)
        client = self.server.client()
        found = {r["id"]: r["metadata"]["row"] for r in client.scroll("long")}
        client.close()
        self.assertEqual(found, {i: i + 40000 for i in range(20000)})

    def test_snapshot_and_verify(self):
        self.run_verb("snapshot")
        other = Server(BINARY)
        with other:
            other.start()
            client = other.client()
            client.post("/v1/collections", {"name": "v", "dimension": 2, "metric": "l2"})
            client.post("/v1/collections/v/upsert", {"records": [{"id": i, "vector": [i, 0]} for i in range(1000)]})
            client.post("/v1/snapshots")
            self.assertEqual(subprocess.run([BINARY, "serve", "--data", other.data, "--listen", "127.0.0.1:0"], capture_output=True,
                                            timeout=30, check=False).returncode, 1, "a second server on one folder must be refused")
            self.assertEqual(other.stop(), 0)
            self.assertIn(" 0 bad", self.run_verb("verify", other.data))
            # flip one bit in the middle of each file's content: it must be named
            (chunks,) = glob.glob(f"{other.data}/snap/*-0/1.chunks")  # the only collection
            victims = [f"{other.data}/log/{chunks.split('/')[-2]}/00000000000000000000.log", chunks]
            for victim in victims:
                with open(victim, "r+b") as f:
                    data = f.read()
                    used = max(i for i, b in enumerate(data) if b)
                    at = (4096 + used) // 2
                    f.seek(at)
                    f.write(bytes([data[at] ^ 0x10]))
            run = subprocess.run([BINARY, "verify", other.data], capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
            for victim in victims:
                self.assertRegex(run.stdout, f"BAD .*{os.path.relpath(victim, other.data)}")

    def test_bench(self):
        out = json.loads(self.run_verb("bench", "--rows", "500", "--dimension", "7", "--batch", "33", "--seconds", "1"))
        self.assertGreater(out["ingest"]["write"]["records_per_s"], 0)
        self.assertGreater(out["search_alone"]["search"]["p50_ms"], 0)
        self.assertGreater(out["search_during_ingest"]["search"]["requests"], 0)


def main():
    global BINARY  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    BINARY = os.path.abspath(arguments.binary)
    loader = unittest.TestLoader()
    if arguments.only:
        loader.testNamePatterns = [f"*{arguments.only}*"]
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromTestCase(CommandLine))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    return 1 if bad or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
