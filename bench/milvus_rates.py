#!/usr/bin/env python3
"""Insert and search through an unmodified pymilvus: freshet beside milvus-lite and a real Milvus, one after the other on the same vectors.

Every server is started here. PREFIX is a data set (PREFIX.base.fbin or .u8bin, PREFIX.query...); `random:ROWSxDIMENSION` makes one. ef is the
smallest of a list that reaches recall@10 0.95 against the exact answer on that server; recall stands beside every rate.
usage: scripts/dev bench milvus_rates --data PREFIX [--rows N] [--lite PYTHON] [--real PYTHON:SCRIPT] [--name NAME]   (needs pymilvus, numpy, psutil)
       PYTHON has milvus-lite; PYTHON:SCRIPT has PyPI's milvus and ../shared/acceptance/milvus/real_milvus.py
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import grpc
import numpy as np
import psutil
from pymilvus import DataType, MilvusClient

import record
from live import free_port

EFS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Peer:
    def __init__(self, name, command, port, folder, levels=("Strong",)):
        self.name, self.port, self.folder, self.levels = name, port, folder, levels
        begin = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > begin + 120:
                self.stop()
                raise RuntimeError(f"{name} does not start")
        self.start_s = time.monotonic() - begin
        time.sleep(1)
        self.empty_mb = self.resident_mb()

    def answers(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                channel.unary_unary("/milvus.proto.milvus.MilvusService/GetVersion")(b"", timeout=0.5)
                return True
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.UNIMPLEMENTED

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def family(self):
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self):
        return sum(sum(p.cpu_times()[:2]) for p in self.family())

    def resident_mb(self):
        return sum(p.memory_info().rss for p in self.family()) / 2**20

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def started(args):
    """Peers by name; each is started when it is its turn."""
    def folder():
        return tempfile.mkdtemp(prefix="milvus-rates-")

    def freshet():
        where, port = folder(), free_port()
        return Peer("freshet", [args.binary, "serve", "--data", where, "--listen", f"127.0.0.1:{port}", "--log-level", "error"], port, where)

    def lite():
        where, port = folder(), free_port()
        tool = os.path.join(os.path.dirname(args.lite), "milvus-lite")
        return Peer("milvus-lite", [tool, "server", "--data-dir", where, "--host", "127.0.0.1", "--port", str(port)], port, where)

    def real():
        where, port = folder(), free_port()
        python, script = args.real.split(":")
        return Peer("milvus", [python, script, where, str(port)], port, where, ("Bounded", "Strong"))

    return [freshet] + [lite] * bool(args.lite) + [real] * bool(args.real)


# ---- data ----

def load(path):
    kind = np.uint8 if path.endswith("u8bin") else np.float32
    rows, dimension = np.fromfile(path, dtype=np.int32, count=2)
    return np.fromfile(path, dtype=kind, offset=8).reshape(rows, dimension).astype(np.float32)


def data(args):
    made = re.fullmatch(r"random:(\d+)x(\d+)", args.data)
    if made:
        generator = np.random.default_rng(7)
        rows = generator.random((int(made[1]), int(made[2])), dtype=np.float32)
        return rows, generator.random((1000, int(made[2])), dtype=np.float32)
    ending = "u8bin" if os.path.exists(args.data + ".base.u8bin") else "fbin"
    return load(f"{args.data}.base.{ending}")[: args.rows], load(f"{args.data}.query.{ending}")[:1000]


def exact(rows, queries):
    """The distance of the tenth nearest: what a hit may be away."""
    square = (rows**2).sum(1)
    return np.array([np.partition(square - 2 * (rows @ q), 9)[9] + (q**2).sum() for q in queries])


# ---- work ----

def make(client, dimension):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dimension)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 100})
    client.create_collection("rates", schema=schema, index_params=index, consistency_level="Strong")


def insert(peer, client, rows, batch):
    cpu, own, calls, begin = peer.cpu_s(), time.process_time(), server_time(peer, "Insert"), time.perf_counter()
    for at in range(0, len(rows), batch):
        client.insert("rates", [{"id": at + i, "v": row} for i, row in enumerate(rows[at : at + batch])])
    seconds = time.perf_counter() - begin
    result = {"rows_s": round(len(rows) / seconds), "server_cpu_us_per_row": round((peer.cpu_s() - cpu) / len(rows) * 1e6, 1),
              "client_cpu_us_per_row": round((time.process_time() - own) / len(rows) * 1e6, 1)}
    if calls:
        result["server_us_per_row"] = round((server_time(peer, "Insert")[0] - calls[0]) / len(rows) * 1e6, 1)
    return result


def probe(client, rows, base, count):
    """A row is inserted, and must be the first hit of its own vector at once."""
    missed = 0
    for i in range(count):
        vector = rows[i % len(rows)] + np.float32(0.25 + i / count)
        client.insert("rates", [{"id": base + i, "v": vector}])
        hit = client.search("rates", [vector], anns_field="v", limit=1, search_params={"params": {"ef": 64}})[0]
        missed += not hit or hit[0]["id"] != base + i
    return missed


def one_search(client, query, ef, level):
    return client.search("rates", [query], anns_field="v", limit=10, search_params={"params": {"ef": ef}}, consistency_level=level)[0]


def recall(client, queries, limit, ef, level):
    good = sum(sum(h["distance"] <= limit[i] * (1 + 1e-3) for h in one_search(client, q, ef, level)) for i, q in enumerate(queries))
    return good / (10 * len(queries))


def server_time(peer, op):
    """Seconds and count of an RPC by freshet's own clock."""
    if peer.name != "freshet":
        return None
    with urllib.request.urlopen(peer.uri + "/metrics") as reply:
        text = reply.read().decode()
    found = [re.search(rf'freshet_request_duration_seconds_{n}{{proto="grpc",op="{op}"}} (\S+)', text) for n in ("sum", "count")]
    return [float(one[1]) for one in found] if all(found) else [0.0, 0.0]


def searches(uri, queries, ef, level, until):
    client, times, at = MilvusClient(uri), [], 0
    one_search(client, queries[0], ef, level)
    while time.monotonic() < until:
        begin = time.perf_counter()
        one_search(client, queries[at % len(queries)], ef, level)
        times.append(time.perf_counter() - begin)
        at += 1
    client.close()
    return times


def search(peer, queries, ef, level, threads, seconds):
    cpu, own, client, begin = peer.cpu_s(), server_time(peer, "Search"), time.process_time(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda i: searches(peer.uri, np.roll(queries, i * 100, 0), ef, level, begin + seconds), range(threads)))
    spent, took = peer.cpu_s() - cpu, time.monotonic() - begin
    times = np.sort(np.concatenate([np.array(p) for p in parts]))
    result = {"queries_s": round(len(times) / took, 1), "p50_ms": round(float(times[len(times) // 2]) * 1e3, 3), "p99_ms": round(float(times[int(len(times) * 0.99)]) * 1e3, 3),
              "server_cpu_ms": round(spent / len(times) * 1e3, 4), "client_cpu_ms": round((time.process_time() - client) / len(times) * 1e3, 4)}
    then = server_time(peer, "Search")
    if own and then[1] > own[1]:
        result["server_ms"] = round((then[0] - own[0]) / (then[1] - own[1]) * 1e3, 4)
    return result


def wait_linked(peer, client):
    """Until the index is built, so that searches are compared in the same state."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            if client.describe_index("rates", "v").get("pending_index_rows", 0) == 0:
                return
        except Exception:  # a peer that does not say
            return
        time.sleep(0.5)


def measure(peer, args, rows, queries, limit):
    client = MilvusClient(peer.uri)
    make(client, rows.shape[1])
    result = {"start_s": round(peer.start_s, 3), "empty_mb": round(peer.empty_mb, 1), "insert": insert(peer, client, rows, args.batch)}
    print(peer.name, result, flush=True)
    if peer.name != "freshet":
        client.flush("rates")
    wait_linked(peer, client)
    result["resident_mb"] = round(peer.resident_mb())
    few = args.slow_queries if peer.name != "freshet" else 300
    for level in peer.levels:
        one_search(client, queries[0], 64, level)
        for ef in EFS:
            reached = recall(client, queries[:few], limit, ef, level)
            if reached >= 0.95:
                break
        row = {"ef": ef, "recall": round(reached, 4)}
        for threads in args.threads:
            row[f"threads_{threads}"] = search(peer, queries, ef, level, threads, args.seconds)
            print(peer.name, level, ef, row[f"threads_{threads}"], flush=True)
        result[level] = row
    if peer.name == "freshet" and args.probes:
        result["probes"], result["probes_missed"] = args.probes, probe(client, rows, len(rows), args.probes)
    client.close()
    return result


def library(args, rows, queries, ef):
    """The same index without a server: one search at a time, one after the other, and paced as a client paces a server's (caches are colder then)."""
    sys.path.insert(0, os.path.join(record.ROOT, "bench", "python"))
    os.environ.setdefault("FRESHET_LIBRARY", os.path.join(os.path.dirname(args.binary), "libfreshet.so"))
    import freshet
    index = freshet.Index(rows.shape[1], metric="l2", m=16, ef_construction=100)
    index.add(np.arange(len(rows)), rows, threads=2)
    for q in queries:
        index.search(q, 10, ef=ef)
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(3):
        for q in queries:
            index.search(q, 10, ef=ef)
    result = {"ef": ef, "search_ms": round((time.perf_counter() - begin) / (3 * len(queries)) * 1e3, 4),
              "search_cpu_ms": round((time.process_time() - cpu) / (3 * len(queries)) * 1e3, 4)}
    paced = 0
    for q in queries:
        time.sleep(0.0007)
        begin = time.perf_counter()
        index.search(q, 10, ef=ef)
        paced += time.perf_counter() - begin
    return result | {"search_paced_ms": round(paced / len(queries) * 1e3, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="random:20000x128")
    parser.add_argument("--binary", default=record.BINARY)
    parser.add_argument("--lite")
    parser.add_argument("--real")
    parser.add_argument("--only", help="peers by name, with commas")
    parser.add_argument("--name", help="writes results/NAME.json")
    parser.add_argument("--no-library", action="store_true")
    for name, value in (("rows", 10**9), ("batch", 2000), ("slow-queries", 50), ("probes", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=lambda text: [int(t) for t in text.split(",")], default=[1, 8])
    args = parser.parse_args()
    before = record.machine()
    rows, queries = data(args)
    limit = exact(rows, queries[:300])
    result = {"rows": len(rows), "dimension": rows.shape[1], "batch": args.batch}
    for start in started(args):
        if args.only and start.__name__ not in args.only.split(","):
            continue
        peer = None
        try:
            peer = start()
            result[peer.name] = measure(peer, args, rows, queries, limit)
        except Exception as error:  # of one peer: the others' figures stay
            result[start.__name__] = {"failed": repr(error)[:300]}
        finally:
            if peer:
                peer.stop()
    if "freshet" in result and not args.no_library:
        result["library"] = library(args, rows, queries, result["freshet"]["Strong"]["ef"])
    record.save(args.name or "milvus_rates", result, before, keep=bool(args.name))


if __name__ == "__main__":
    main()
