#!/usr/bin/env python3
"""Insert and search through an unmodified pymilvus, against one server or several in turn; prints one JSON object.

usage: milvus_rates.py NAME=URI [NAME=URI ...] [--rows 20000] [--dimension 128] [--batch 2000] [--searches 500] [--clients 1]
Example: milvus_rates.py freshet=http://127.0.0.1:19530 lite=http://127.0.0.1:19540
The same random vectors for all; recall@10 is measured against the exact answer, and stands beside every rate.
"""
import argparse
import concurrent.futures
import json
import time

import numpy as np
from pymilvus import DataType, MilvusClient


def make(client, name, dimension):
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dimension)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 100})
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def insert(client, name, rows, batch):
    started = time.perf_counter()
    for at in range(0, len(rows), batch):
        client.insert(name, [{"id": i, "v": rows[i]} for i in range(at, min(at + batch, len(rows)))])
    return len(rows) / (time.perf_counter() - started)


def searches(uri, name, queries, ef):
    client = MilvusClient(uri)
    found, times = [], []
    for query in queries:
        started = time.perf_counter()
        hits = client.search(name, [query], anns_field="v", limit=10, search_params={"params": {"ef": ef}})[0]
        times.append(time.perf_counter() - started)
        found.append({hit["id"] for hit in hits})
    client.close()
    return found, times


def measure(uri, args, rows, queries, truth):
    client, name = MilvusClient(uri), "rates"
    make(client, name, args.dimension)
    result = {"insert_rows_per_s": round(insert(client, name, rows, args.batch))}
    searches(uri, name, queries[:20], args.ef)  # warm
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
        parts = list(pool.map(lambda i: searches(uri, name, queries[i :: args.clients], args.ef), range(args.clients)))
    seconds = time.perf_counter() - started
    times = sorted(t for _, part in parts for t in part)
    hits = sum(len(f & truth[i + n * args.clients]) for i, (found, _) in enumerate(parts) for n, f in enumerate(found))
    result.update(queries_per_s=round(len(queries) / seconds, 1), p99_ms=round(times[int(len(times) * 0.99)] * 1000, 2), recall_at_10=round(hits / len(queries) / 10, 4))
    client.drop_collection(name)
    client.close()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="+", metavar="NAME=URI")
    for name, value in (("rows", 20000), ("dimension", 128), ("batch", 2000), ("searches", 500), ("clients", 1), ("ef", 64)):
        parser.add_argument("--" + name, type=int, default=value)
    args = parser.parse_args()
    random = np.random.default_rng(7)
    rows = random.random((args.rows, args.dimension), dtype=np.float32)
    queries = random.random((args.searches, args.dimension), dtype=np.float32)
    square = (rows**2).sum(1)
    truth = [set(np.argpartition(square - 2 * (rows @ q), 10)[:10].tolist()) for q in queries]
    out = {"rows": args.rows, "dimension": args.dimension, "batch": args.batch, "clients": args.clients}
    for server in args.servers:
        name, uri = server.split("=", 1)
        out[name] = measure(uri, args, rows, queries, truth)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
