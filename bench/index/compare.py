#!/usr/bin/env python3
"""freshet's library and its peers on the same data in one interleaved run: recall against queries a second, build, memory, inserts, latency.

usage: compare.py DATA_PREFIX [--peers hnswlib,svs-lvq8,...|all] [--ours freshet,freshet-speed,freshet-compact] [--metric l2|ip] [--quick]
                  [--cache DIR] [--cached] [--rounds 5] [--lib PATH/libfreshet.so] [--json FILE] [--lock FILE]
DATA_PREFIX: PREFIX.base.u8bin|fbin, .query, .gt.i32bin (make_wordnet.py, ../shared/data). Needs numpy psutil and the peers' packages.
One process per library. Every setting of ef is measured in rounds, one library after the other while the others wait, so that a noisy
machine hits all of them; medians are kept. Indexes are built once into --cache with their build figures (freshet's again for each build
of the library); --cached leaves out peers that are not there yet. Recall@10 counts by exact distance, tolerance 1e-3 relative, and
strictly (1e-6). --lock: held during each setting, for machines that other measurements share.
"""
import argparse, base64, contextlib, fcntl, hashlib, json, os, statistics, subprocess, sys
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import peers
import record

EF = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TARGETS = (0.90, 0.95, 0.99)
K = 10


class Worker:
    """A peer_worker.py process that holds one library's index."""

    def __init__(self, name, args, folder):
        self.name, self.process = name, None
        self.command = [sys.executable, os.path.join(HERE, "peer_worker.py")]
        self.tail = [name, args.data, folder, "--metric", args.metric]
        self.env = os.environ | {"FRESHET_LIBRARY": os.path.abspath(args.lib), "OMP_WAIT_POLICY": "passive"}
        self.curve = []

    def build(self, threads):
        subprocess.run([*self.command, "build", *self.tail, "--threads", str(threads)], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def serve(self):
        self.process = subprocess.Popen([*self.command, "serve", *self.tail], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.figures = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its process ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def run(self, ef, threads, rows, clock):
        answer = self.ask(run=ef, threads=threads)
        return answer[clock], np.frombuffer(base64.b64decode(answer["ids"]), "<i4").reshape(rows, K)

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


class Truth:
    """Recall by distance: a hit counts when it is no farther than the exact tenth neighbour, whatever its id."""

    def __init__(self, data, metric):
        self.base, self.queries = peers.read(data, "base"), peers.read(data, "query", 1000)
        g, k = np.fromfile(data + ".gt.i32bin", "<u4", 2)
        near = np.fromfile(data + ".gt.i32bin", "<i4", offset=8).reshape(g, k)[: len(self.queries), :K]
        self.l2 = metric == "l2"
        self.limit = np.array([np.sort(self.distances(q, ids))[-1] for q, ids in zip(self.queries, near)])

    def distances(self, query, ids):
        rows = self.base[ids]
        return ((rows - query) ** 2).sum(1) if self.l2 else -(rows @ query)

    def recall(self, found, tolerance):
        hits = 0
        for query, ids, limit in zip(self.queries, found, self.limit):
            ids = np.unique(ids[(ids >= 0) & (ids < len(self.base))])
            hits += (self.distances(query, ids) <= limit + max(tolerance, 1e-6) * abs(limit)).sum()
        return float(hits) / (K * len(self.queries))


def at(curve, target, recall="recall", value="qps"):
    """The value at a recall, log-linear between the measured points; of the first point when that is above it already."""
    for a, b in zip(curve, curve[1:]):
        if a[recall] <= target <= b[recall] and b[recall] > a[recall]:
            w = (target - a[recall]) / (b[recall] - a[recall])
            return float(np.exp(np.log(a[value]) * (1 - w) + np.log(b[value]) * w))
    return curve[0][value] if curve and curve[0][recall] > target else None


@contextlib.contextmanager
def locked(path):
    if path is None:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start(args):
    """Workers that serve, their indexes built where the cache does not have them."""
    with open(args.lib, "rb") as lib:
        version = hashlib.sha256(lib.read()).hexdigest()[:8]
    workers = []
    for name in args.ours + args.peers:
        label = f"{os.path.basename(args.data)}.{name}" + (f".{version}" if name in peers.OURS else "")
        folder = os.path.join(args.cache, label)
        worker = Worker(name, args, folder)
        if not os.path.exists(folder + "/build.json"):
            if args.cached and name in peers.PEERS:
                print(f"{name}: not in {args.cache}, left out", flush=True)
                continue
            print(f"{name}: building", flush=True)
            with locked(args.lock if name in peers.OURS else None):
                worker.build(args.threads)
        workers.append(worker)
    for worker in workers:
        worker.serve()
        print(f"{worker.name}: build {worker.figures['build_s']:.1f} s, {worker.figures['build_cpu_s']:.1f} s of CPU", flush=True)
    return workers


def curves(workers, truth, args):
    rows = len(truth.queries)
    open_ones = list(workers)
    for ef in (EF[1::2] if args.quick else EF):
        seconds, found = {w.name: [] for w in open_ones}, {}
        with locked(args.lock):
            for _ in range(args.rounds):
                for w in open_ones:
                    time, found[w.name] = w.run(ef, 1, rows, args.clock)
                    seconds[w.name].append(time)
        for w in list(open_ones):
            point = {"ef": ef, "recall": round(truth.recall(found[w.name], 1e-3), 4), "strict": round(truth.recall(found[w.name], 0), 4),
                     "qps": round(rows / statistics.median(seconds[w.name])), "best_qps": round(rows / min(seconds[w.name]))}
            w.curve.append(point)
            print(f"{w.name} ef {ef} recall@10 {point['recall']:.4f} (strict {point['strict']:.4f}) {point['qps']} queries/s", flush=True)
            if point["recall"] > 0.9985:
                open_ones.remove(w)


def at_95(workers, truth, args):
    """At the first ef that reaches 0.95: two threads beside one, and one query a call; by the wall clock, so on a quiet machine."""
    rows, chosen = len(truth.queries), {}
    for w in workers:
        ef = next((p["ef"] for p in w.curve if p["recall"] >= 0.95), None)
        if ef is not None:
            chosen[w] = (ef, [], [], [])
    for _ in range(args.rounds):
        with locked(args.lock):
            for w, (ef, one, two, single) in chosen.items():
                one.append(w.run(ef, 1, rows, "wall")[0])
                two.append(w.run(ef, 2, rows, "wall")[0])
                single.append(w.ask(single=ef))
    for w, (ef, one, two, single) in chosen.items():
        middle = lambda key: round(statistics.median(s[key] for s in single), 1)
        w.figures["at_95"] = {"ef": ef, "qps_1": round(rows / statistics.median(one)), "qps_2": round(rows / statistics.median(two)),
                              "two_over_one": round(statistics.median(a / b for a, b in zip(one, two)), 2),
                              "single_p50_us": middle("p50_us"), "single_p99_us": middle("p99_us")}


def memory_and_inserts(workers, rows, args):
    for w in workers:
        for _ in range(0, 10000, rows):
            w.run(64, 1, rows, "wall")
        w.figures["resident_mb"] = round(w.ask(memory=True)["mb"], 1)
        if not args.quick:
            with locked(args.lock):
                w.figures["insert"] = w.ask(insert=args.inserts, one_by_one=args.inserts, threads=1)


def result(workers, truth, args):
    out = {"data": os.path.basename(args.data), "rows": len(truth.base), "dimension": truth.base.shape[1],
           "metric": args.metric, "clock": args.clock, "libraries": {}}
    for w in workers:
        figures = w.figures | {"curve": w.curve}
        for key in ("recall", "strict"):
            figures["qps_at_" + key] = {str(t): at(w.curve, t, key) and round(at(w.curve, t, key)) for t in TARGETS}
        out["libraries"][w.name] = figures
    known = out["libraries"]
    others = [n for n in known if n in peers.PEERS]
    out["ratios"] = {}
    for name in (n for n in known if n in peers.OURS):
        ratios = {}
        for t in map(str, TARGETS):
            ours, best = known[name]["qps_at_recall"][t], max((known[o]["qps_at_recall"][t] or 0 for o in others), default=0)
            if ours and best:
                ratios[f"qps_{t}_over_best_peer"] = round(ours / best, 2)
            if ours and (known.get("hnswlib") or {}).get("qps_at_recall", {}).get(t):
                ratios[f"qps_{t}_over_hnswlib"] = round(ours / known["hnswlib"]["qps_at_recall"][t], 2)
        for key in ("build_s", "build_cpu_s", "resident_mb"):
            if "hnswlib" in known:
                ratios[key + "_over_hnswlib"] = round(known[name][key] / known["hnswlib"][key], 3)
        for key in ("batch_per_s", "single_per_s", "batch_per_cpu_s", "single_per_cpu_s"):
            if (known.get("hnswlib") or {}).get("insert") and known[name].get("insert"):
                ratios[key + "_over_hnswlib"] = round(known[name]["insert"][key] / known["hnswlib"]["insert"][key], 2)
        out["ratios"][name] = ratios
    return out


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--peers", default="all")
    parser.add_argument("--ours", default="freshet")
    parser.add_argument("--metric", default="l2", choices=("l2", "ip"))
    parser.add_argument("--threads", type=int, default=2, help="of builds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inserts", type=int, default=20000)
    parser.add_argument("--cache", default=os.path.join(record.ROOT, "build", "peers"))
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--quick", action="store_true", help="every second ef, no inserts")
    parser.add_argument("--lib", default=os.path.join(record.ROOT, "build", "release", "libfreshet.so"))
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help="of searches by one thread: cpu on a machine with other work")
    parser.add_argument("--json")
    parser.add_argument("--lock")
    args = parser.parse_args()
    args.peers = list(peers.PEERS) if args.peers == "all" else [p for p in args.peers.split(",") if p]
    args.ours = [p for p in args.ours.split(",") if p]
    return args


def main():
    args = arguments()
    os.makedirs(args.cache, exist_ok=True)
    before = record.machine()
    workers = start(args)
    try:
        truth = Truth(args.data, args.metric)
        curves(workers, truth, args)
        at_95(workers, truth, args)
        memory_and_inserts(workers, len(truth.queries), args)
        out = {"machine": before} | result(workers, truth, args)
    finally:
        for worker in workers:
            worker.close()
    for name, ratios in out["ratios"].items():
        print(name, ", ".join(f"{key} {value}" for key, value in ratios.items()))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(out, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
