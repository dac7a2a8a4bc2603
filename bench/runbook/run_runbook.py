#!/usr/bin/env python3
"""Run a streaming runbook against freshet's library: recall after every search step against the exact answer on the rows alive then.

usage: run_runbook.py DATA_PREFIX KIND|FILE.yaml [--rows N] [--churn 10] [--ef 64] [--queries 500] [--threads 2] [--metric l2] [--profile balanced]
                      [--lib PATH/libfreshet.so] [--json FILE] [--check] [--fresh]
KIND: sliding expiration clustered replace (runbooks.py). Prints a line per search and a summary: recall mean, min and slope per 100 % churn
(rows deleted or replaced / rows alive), the same search on a fresh build of the last rows alive, growth of memory per row alive, time of a
delete. --check: recall of the end within 0.01 of the fresh build, memory per row within 10 %
(sliding, replace: the live count is steady). --fresh: after every search the rows alive are built afresh, in bulk and one by one, and searched
beside: recall depends on which rows are alive, so what churn costs is the mean of the differences.
Needs numpy psutil PyYAML.
"""
import argparse, json, os, sys, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "index"), os.path.join(HERE, "..")]
sys.path.append(os.path.join(HERE, "..", "python"))  # an installed module goes first
import runbooks

K = 10
TIMED = 50  # deletes of a step that are made one a call and timed


class State:
    """What a correct index holds: the row of each tag that is alive."""

    def __init__(self, rows):
        self.row_of = np.full(len(rows), -1, np.int64)
        self.rows = rows

    def alive(self):
        return np.flatnonzero(self.row_of >= 0)

    def exact(self, queries, metric):
        """Distance of the K-th nearest alive row of each query."""
        tags = self.alive()
        best = np.full((len(queries), 0), np.inf, np.float32)
        for at in range(0, len(tags), 20000):
            rows = self.rows[self.row_of[tags[at : at + 20000]]]
            near = -(queries @ rows.T) if metric != "l2" else (rows**2).sum(1) - 2 * (queries @ rows.T) + (queries**2).sum(1)[:, None]
            best = np.sort(np.concatenate([best, near], 1), 1)[:, :K]
        return best[:, -1]

    def recall(self, queries, found, limit, metric):
        """By distance, ties count; a tag that is not alive is an error, not a miss."""
        hits = 0
        for query, ids, most in zip(queries, found, limit):
            ids = np.unique(ids[ids >= 0])
            if (self.row_of[ids] < 0).any():
                raise SystemExit(f"a deleted row was found: tag {ids[self.row_of[ids] < 0][0]}")
            rows = self.rows[self.row_of[ids]]
            near = -(rows @ query) if metric != "l2" else ((rows - query) ** 2).sum(1)
            hits += (near <= most + 1e-4 * abs(most) + 1e-6).sum()
        return float(hits) / (K * len(queries))


def apply(index, state, step, threads, times):
    if step["operation"] == "insert":
        tags = np.arange(step["start"], step["end"])
        index.add(tags, state.rows[tags], threads=threads)
        state.row_of[tags] = tags
        return 0
    if step["operation"] == "replace":
        tags, ids = np.arange(step["tags_start"], step["tags_end"]), np.arange(step["ids_start"], step["ids_end"])
        index.add(tags, state.rows[ids], threads=threads)
        state.row_of[tags] = ids
        return len(tags)
    tags = np.arange(step["start"], step["end"])
    index.remove(tags[TIMED:])
    for tag in tags[:TIMED]:
        start = time.perf_counter()
        index.remove([tag])
        times.append(time.perf_counter() - start)
    state.row_of[tags] = -1
    return len(tags)


def build_fresh(create, state, args, at_once):
    """An index of the rows alive. Adding fewer than 8,192 rows a call links them one by one (index/README.md, Bulk)."""
    index, tags = create(), state.alive()
    for at in range(0, len(tags), at_once):
        part = tags[at : at + at_once]
        index.add(part, state.rows[state.row_of[part]], threads=args.threads)
    return index


def play(index, state, steps, queries, args, create):
    """Do every step; a point per search."""
    import psutil
    points, times, changed = [], [], 0
    for number, step in enumerate(steps, 1):
        if step["operation"] != "search":
            changed += apply(index, state, step, args.threads, times)
            continue
        alive = len(state.alive())
        if len(index) != alive:
            raise SystemExit(f"step {number}: the index holds {len(index)} rows, {alive} are alive")
        limit = state.exact(queries, args.metric)
        recall = lambda one: round(state.recall(queries, one.search(queries, K, ef=args.ef)[0], limit, args.metric), 4)
        points.append({"step": number, "alive": alive, "changed": changed, "memory": index.memory(), "rss": psutil.Process().memory_info().rss,
                       "recall": recall(index)})
        if args.fresh:
            points[-1] |= {"bulk": recall(build_fresh(create, state, args, alive)), "one_by_one": recall(build_fresh(create, state, args, 4000))}
            print(f"built afresh: in bulk {points[-1]['bulk']:.4f}, one by one {points[-1]['one_by_one']:.4f}; ", end="")
        print(f"step {number} alive {alive} changed {changed} recall@10 {points[-1]['recall']:.4f} memory {points[-1]['memory'] / 1e6:.1f} MB", flush=True)
    return points, times


def summary(points, times, fresh):
    churn, total = [], 0.0
    for i, p in enumerate(points):
        total += (p["changed"] - (points[i - 1]["changed"] if i else 0)) / max(p["alive"], 1)
        churn.append(total)
    recalls = [p["recall"] for p in points]
    per_row = [p["memory"] / max(p["alive"], 1) for p in points]
    return {"searches": len(points), "churn": round(total, 2), "recall_mean": round(float(np.mean(recalls)), 4), "recall_min": min(recalls),
            "recall_slope_per_churn": round(float(np.polyfit(churn, recalls, 1)[0]), 5) if churn[-1] > churn[0] else 0.0,
            "recall_end": recalls[-1], "recall_fresh_build": fresh, "memory_first": points[0]["memory"], "memory_end": points[-1]["memory"],
            "memory_most": max(p["memory"] for p in points), "memory_per_row_growth": round(per_row[-1] / per_row[0], 3),
            "rss_end": points[-1]["rss"],
            **{f"recall_mean_{name}": round(float(np.mean([p[name] for p in points])), 4) for name in ("bulk", "one_by_one") if name in points[0]},
            "delete_p50_us": round(float(np.percentile(times, 50)) * 1e6, 1) if times else None,
            "delete_p99_us": round(float(np.percentile(times, 99)) * 1e6, 1) if times else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("runbook")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--churn", type=float, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--ef", type=int, default=64)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--metric", default="l2", choices=("l2", "ip", "cosine"))
    parser.add_argument("--profile", default="balanced")
    parser.add_argument("--lib")
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--memory-growth", type=float, default=1.1, help="what --check allows, of memory per row")
    args = parser.parse_args()
    if args.lib:
        os.environ["FRESHET_LIBRARY"] = os.path.abspath(args.lib)
    import freshet, peers, record
    before = record.machine()
    rows, queries = peers.read(args.data, "base", args.rows), peers.read(args.data, "query", args.queries)
    if args.runbook in runbooks.KINDS:
        _, steps = runbooks.make(args.runbook, len(rows), args.churn, args.steps)
        if args.runbook == "clustered":
            rows = rows[runbooks.order(rows, args.steps)]
    else:
        _, _, steps = runbooks.load(args.runbook)
    state, create = State(rows), lambda: freshet.Index(rows.shape[1], metric=args.metric, profile=args.profile)
    index = create()
    points, times = play(index, state, steps, queries, args, create)
    again = build_fresh(create, state, args, len(rows))
    fresh = round(state.recall(queries, again.search(queries, K, ef=args.ef)[0], state.exact(queries, args.metric), args.metric), 4)
    out = {"runbook": os.path.basename(args.runbook), "data": os.path.basename(args.data), "rows": len(rows), "ef": args.ef} | summary(points, times, fresh)
    print(json.dumps(out))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": before, "result": out, "points": points}, file, indent=1)
            file.write("\n")
    if args.check and (out["recall_end"] < fresh - 0.01 or (args.runbook in ("sliding", "replace") and out["memory_per_row_growth"] > args.memory_growth)):
        raise SystemExit("check failed")


if __name__ == "__main__":
    main()
