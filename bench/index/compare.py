#!/usr/bin/env python3
"""freshet's library beside hnswlib in one process, interleaved: build time, resident memory, recall@10 against queries per second.

usage: compare.py DATA_PREFIX [--metric l2|ip] [--threads 2] [--rounds 5] [--lib PATH/libfreshet.so] [--json FILE] [--rows N]
DATA_PREFIX as for ../shared/bench/peers.py (.base.u8bin, .query.u8bin, .gt.i32bin). Needs numpy, hnswlib, psutil.
Each search setting of one system is timed right after the same of the other, so that a noisy machine hits both; medians and the median
of the paired ratios are printed. Recall counts by distance, tolerance 1e-3 relative, and strictly.
"""
import argparse, ctypes, gc, json, os, statistics, time
import numpy as np, psutil

EF = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]

class Options(ctypes.Structure):
    _fields_ = [("dimension", ctypes.c_uint32), ("metric", ctypes.c_int), ("codes", ctypes.c_int), ("m", ctypes.c_uint32), ("efc", ctypes.c_uint32),
                ("profile", ctypes.c_int), ("vectors", ctypes.c_int), ("folder", ctypes.c_char_p)]

class Freshet:
    def __init__(self, path, dimension, metric):
        self.lib = ctypes.CDLL(path); self.handle = ctypes.c_void_p(); self.lib.fr_index_memory.restype = ctypes.c_uint64
        options = Options(dimension, {"l2": 0, "ip": 1, "cosine": 2}[metric], 0, 0, 0, 0, 0, None)
        assert self.lib.fr_index_create(ctypes.byref(options), ctypes.byref(self.handle), None) == 0
    def add(self, ids, rows, threads):
        assert self.lib.fr_index_add(self.handle, ids.ctypes.data_as(ctypes.c_void_p), rows.ctypes.data_as(ctypes.c_void_p),
                                     ctypes.c_uint64(len(ids)), ctypes.c_uint32(threads), None) == 0
    def search(self, q, k, ef, threads=1):
        ids = np.empty((len(q), k), np.int64); d = np.empty((len(q), k), np.float32)
        assert self.lib.fr_index_search_many(self.handle, q.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(len(q)), ctypes.c_uint32(k),
            ctypes.c_uint32(ef), ctypes.c_uint32(threads), ids.ctypes.data_as(ctypes.c_void_p), d.ctypes.data_as(ctypes.c_void_p), None) == 0
        return ids

def read(prefix, part, rows=None):
    for ext, dtype in ((".u8bin", np.uint8), (".fbin", np.float32)):
        path = f"{prefix}.{part}{ext}"
        if os.path.exists(path):
            n, d = np.fromfile(path, "<u4", 2)
            return np.ascontiguousarray(np.fromfile(path, dtype, offset=8).reshape(n, d)[:rows].astype(np.float32))
    raise SystemExit(f"no {prefix}.{part}.u8bin or .fbin")

def at(curve, target, key):
    """queries/s at a recall, log-linear between the measured points."""
    for a, b in zip(curve, curve[1:]):
        if a["recall"] <= target <= b["recall"] and b["recall"] > a["recall"]:
            w = (target - a["recall"]) / (b["recall"] - a["recall"])
            return float(np.exp(np.log(a[key]) * (1 - w) + np.log(b[key]) * w))
    return curve[0][key] if curve and curve[0]["recall"] > target else None

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data"); p.add_argument("--metric", default="l2"); p.add_argument("--threads", type=int, default=2); p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--lib", default="build/release/libfreshet.so"); p.add_argument("--json"); p.add_argument("--rows", type=int); a = p.parse_args()
    import hnswlib
    X, Q = read(a.data, "base", a.rows), read(a.data, "query")[:1000]; n, d = X.shape; l2 = a.metric == "l2"
    dist = (lambda q, v: ((v - q) ** 2).sum(1)) if l2 else (lambda q, v: -(v @ q))
    if a.rows: near = [np.argpartition(dist(q, X), 10)[:10] for q in Q]
    else: g, k = np.fromfile(a.data + ".gt.i32bin", "<u4", 2); near = np.fromfile(a.data + ".gt.i32bin", "<i4", offset=8).reshape(g, k)[:len(Q), :10]
    kth = [np.sort(dist(q, X[i]))[9] for q, i in zip(Q, near)]
    def recall(found, tolerance):
        return sum((dist(q, X[np.unique(ids[ids >= 0].astype(np.int64))]) <= t + tolerance * abs(t) + 1e-6).sum() for q, ids, t in zip(Q, found, kth)) / (10 * len(Q))
    process = psutil.Process(); out = {"data": os.path.basename(a.data), "rows": n, "dimension": d, "threads": a.threads}; ids = np.arange(n, dtype=np.int64)
    fr = Freshet(a.lib, d, a.metric); hn = hnswlib.Index(a.metric, d)
    def timed(name, work):
        gc.collect(); rss, t, c = process.memory_info().rss, time.perf_counter(), time.process_time(); work(); gc.collect()
        out[name] = {"build_s": time.perf_counter() - t, "cpu_s": time.process_time() - c, "rss_mb": (process.memory_info().rss - rss) / 1e6, "curve": []}
        print(f"{name} build {out[name]['build_s']:.1f} s (cpu {out[name]['cpu_s']:.1f} s), resident {out[name]['rss_mb']:.0f} MB", flush=True)
    timed("freshet", lambda: fr.add(ids, X, a.threads))
    def build(): hn.init_index(n, M=16, ef_construction=200); hn.set_num_threads(a.threads); hn.add_items(X)
    timed("hnswlib", build)
    def search_hn(ef): hn.set_ef(ef); return hn.knn_query(Q, 10, num_threads=1)[0]
    for ef in EF:
        times = {"freshet": [], "hnswlib": []}; found = {}
        for _ in range(a.rounds):
            for name, go in (("freshet", lambda: fr.search(Q, 10, ef)), ("hnswlib", lambda: search_hn(ef))):
                t = time.perf_counter(); found[name] = go(); times[name].append(time.perf_counter() - t)
        for name in times:
            point = {"ef": ef, "recall": float(recall(found[name], 1e-3)), "strict": float(recall(found[name], 0)),
                     "qps": len(Q) / statistics.median(times[name]), "best_qps": len(Q) / min(times[name])}
            out[name]["curve"].append(point); print(f"{name} ef {ef} recall@10 {point['recall']:.4f} (strict {point['strict']:.4f}) {point['qps']:.0f} queries/s", flush=True)
    for target in (0.90, 0.95, 0.99):
        f, h = at(out["freshet"]["curve"], target, "qps"), at(out["hnswlib"]["curve"], target, "qps")
        if f and h: out[f"ratio_{target}"] = f / h; print(f"recall {target}: freshet {f:.0f}, hnswlib {h:.0f} queries/s, ratio {f / h:.2f}")
    for key in ("build_s", "cpu_s", "rss_mb"):
        out["ratio_" + key] = out["freshet"][key] / out["hnswlib"][key]; print(f"{key}: ratio {out['ratio_' + key]:.2f}")
    if a.json: json.dump(out, open(a.json, "w"), indent=1)

if __name__ == "__main__": main()
