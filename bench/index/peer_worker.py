#!/usr/bin/env python3
"""One library in one process: builds and saves its index, or loads it and answers commands; started by compare.py.

usage: peer_worker.py build PEER DATA_PREFIX FOLDER [--metric l2] [--threads 2]     builds, saves into FOLDER with build.json
       peer_worker.py serve PEER DATA_PREFIX FOLDER [--metric l2]                   loads; JSON commands on stdin, one answer a line
Commands: {"run": ef, "threads": n}  -> {"wall", "cpu" (seconds), "ids" (base64 of int32 [queries, 10])}
          {"single": ef}             -> {"p50_us", "p99_us", "mean_us"}: one query a call
          {"memory": true}           -> {"mb"}: growth since before loading, anonymous and mapped files
          {"insert": rows, "one_by_one": rows, "threads": n} -> {"batch_per_s", "single_per_s", the same per_cpu_s}: into an empty index, or null
"""
import argparse, base64, ctypes, gc, json, os, shutil, sys, time
import numpy as np, psutil

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), *up) for up in ((), ("..", "python"))]
import peers

K = 10


def resident_mb():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 1e6


def build(args):
    rows = peers.read(args.data, "base")
    peer = peers.create(args.peer, rows.shape[1], args.metric)
    before, wall, cpu = resident_mb(), time.perf_counter(), time.process_time()
    peer.build(rows, args.threads)
    figures = {"build_s": time.perf_counter() - wall, "build_cpu_s": time.process_time() - cpu, "build_threads": args.threads,
               "rows": len(rows), "dimension": rows.shape[1], "load_average": os.getloadavg()[0]}
    figures["built_mb"] = resident_mb() - before
    part = args.folder + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    peer.save(part)
    with open(part + "/build.json", "w") as out:
        json.dump(figures, out, indent=1)
    shutil.rmtree(args.folder, ignore_errors=True)
    os.rename(part, args.folder)


def insert(peer, data, command):
    """Rows a second into an empty index: first in batches of 1,000, then one call a row. Each part ends when nothing is left to be done for
    its rows (peer.finish): work that a library puts off is counted, on whatever thread."""
    if peer.new is None:
        return None
    many, single, threads = command["insert"], command["one_by_one"], command.get("threads", 1)
    rows, ids = peers.read(data, "base", many + single), np.arange(many + single)
    fresh = peer.new()
    finish = getattr(fresh, "finish", lambda threads: None)
    fresh.start(many + single)
    start, cpu = time.perf_counter(), time.process_time()
    for at in range(0, many, 1000):
        fresh.add(ids[at : at + 1000], rows[at : at + 1000], threads)
    finish(threads)
    middle, cpu_middle = time.perf_counter(), time.process_time()
    for at in range(many, many + single):
        fresh.add(ids[at : at + 1], rows[at : at + 1], 1)
    finish(1)
    end, cpu_end = time.perf_counter(), time.process_time()
    return {"batch_per_s": many / (middle - start), "single_per_s": single / (end - middle),
            "batch_per_cpu_s": many / (cpu_middle - cpu), "single_per_cpu_s": single / (cpu_end - cpu_middle)}


def answer(peer, queries, before, data, command):
    if "run" in command:
        start, cpu = time.perf_counter(), time.process_time()
        found = peer.search(queries, K, command["run"], command.get("threads", 1))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        ids = np.full((len(queries), K), -1, np.int64)
        for i, got in enumerate(found):
            ids[i, : len(got)] = np.asarray(got).astype(np.int64)[:K]
        return {"wall": seconds, "cpu": cpu, "ids": base64.b64encode(ids.astype("<i4").tobytes()).decode()}
    if "single" in command:
        times = []
        for q in queries:
            start = time.perf_counter()
            peer.search(q[None, :], K, command["single"], 1)
            times.append((time.perf_counter() - start) * 1e6)
        return {"p50_us": float(np.percentile(times, 50)), "p99_us": float(np.percentile(times, 99)), "mean_us": float(np.mean(times))}
    if "insert" in command:
        return insert(peer, data, command)
    return {"mb": resident_mb() - before}


def serve(args):
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints does not get between the answers
    queries = peers.read(args.data, "query", 1000)
    peer = peers.create(args.peer, queries.shape[1], args.metric)
    before = resident_mb()
    start = time.perf_counter()
    peer.load(args.folder)
    with open(args.folder + "/build.json") as file:
        figures = json.load(file)
    print(json.dumps(figures | {"load_s": time.perf_counter() - start}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(peer, queries, before, args.data, json.loads(line))), file=out, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("build", "serve"))
    parser.add_argument("peer")
    parser.add_argument("data")
    parser.add_argument("folder")
    parser.add_argument("--metric", default="l2")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    (build if args.verb == "build" else serve)(args)


if __name__ == "__main__":
    main()
