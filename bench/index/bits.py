#!/usr/bin/env python3
"""Binary vectors (the signs of a data set's numbers less their means) by Hamming distance: freshet beside faiss's IndexBinaryHNSW and
usearch's b1, one thread, one process, in rounds that alternate between them.

usage: FRESHET_LIBRARY=build/release/libfreshet.so bits.py PREFIX [--rows N] [--rounds N] [--metric hamming|jaccard]
PREFIX.base.fbin and PREFIX.query.fbin: make_wordnet.py. Needs numpy, faiss-cpu and usearch from PyPI (jaccard: without faiss).
Prints a line of JSON a library: CPU seconds of the build, then ef, recall@10 by distance, queries per CPU second (median of the rounds).
"""
import argparse
import json
import os
import statistics
import sys
from time import process_time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import numpy as np  # noqa: E402

import freshet  # noqa: E402

EFS, K = (16, 32, 64, 128, 256, 512), 10


def fbin(path, rows=None):
    count, dimension = np.fromfile(path, np.uint32, 2)
    return np.fromfile(path, np.float32, count=int(min(rows or count, count)) * int(dimension), offset=8).reshape(-1, dimension)


class Freshet:
    def __init__(self, bits, metric):
        self.index = freshet.Index(bits, metric=metric, m=16, ef_construction=100)

    def add(self, rows):
        self.index.add(np.arange(len(rows)), rows, threads=1)

    def search(self, queries, ef):
        return self.index.search(queries, K, ef=ef, threads=1)[1]


class Faiss:
    def __init__(self, bits, metric):
        import faiss
        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexBinaryHNSW(bits, 16)
        self.index.hnsw.efConstruction = 100

    def add(self, rows):
        self.index.add(rows)

    def search(self, queries, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, K)[0]


class Usearch:
    def __init__(self, bits, metric):
        from usearch.index import Index
        self.index = Index(ndim=bits, metric="hamming" if metric == "hamming" else "jaccard", dtype="b1", connectivity=16, expansion_add=100)

    def add(self, rows):
        self.index.add(np.arange(len(rows)), rows, threads=1)

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, K, threads=1).distances


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("prefix")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--metric", choices=("hamming", "jaccard"), default="hamming")
    args = parser.parse_args()
    base, queries = fbin(args.prefix + ".base.fbin", args.rows), fbin(args.prefix + ".query.fbin")
    middle = base.mean(0)
    rows, asked = np.packbits(base > middle, axis=1), np.packbits(queries > middle, axis=1)
    bits = rows.shape[1] * 8
    exact = freshet.Index(bits, metric=args.metric)  # a search this wide looks at everything
    exact.add(np.arange(len(rows)), rows, threads=2)
    worst = exact.search(asked, K, ef=32768, threads=2)[1][:, K - 1 :]
    del exact
    libraries = {"freshet": Freshet, "faiss": Faiss, "usearch": Usearch}
    if args.metric == "jaccard":
        del libraries["faiss"]
    built, figures = {}, {}
    for name, library in libraries.items():
        built[name] = library(bits, args.metric)
        start = process_time()
        built[name].add(rows)
        figures[name] = {"build_cpu_s": round(process_time() - start, 2), "rows": len(rows), "bits": bits, "metric": args.metric}
    rates = {(name, ef): [] for name in built for ef in EFS}
    recall = {}
    for _ in range(args.rounds):
        for ef in EFS:
            for name, index in built.items():
                start = process_time()
                found = index.search(asked, ef)
                rates[name, ef].append(len(asked) / (process_time() - start))
                recall[name, ef] = float((found <= worst * (1 + 1e-6)).mean())
    for name in built:
        figures[name]["curve"] = [[ef, round(recall[name, ef], 4), round(statistics.median(rates[name, ef]))] for ef in EFS]
        print(json.dumps({"library": name, **figures[name]}))


if __name__ == "__main__":
    main()
