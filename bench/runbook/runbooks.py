#!/usr/bin/env python3
"""Runbooks of the big-ann-benchmarks streaming track: read, check and make them.

usage: runbooks.py KIND ROWS [--name NAME] [--churn 10] [--steps 20] [--seed 0] > FILE.yaml      KIND: sliding expiration clustered replace
A runbook is YAML: a data set's name, below it max_pts (most rows alive at once) and steps 1, 2, 3, ... of
  {operation: insert | delete, start, end}    tags start..end-1, which hold the rows of the same numbers
  {operation: replace, tags_start, tags_end, ids_start, ids_end}    tag tags_start + i now holds row ids_start + i
  {operation: search}                         all queries
`clustered` wants the rows sorted by cluster: order() gives that permutation, run_runbook.py applies it.
"""
import argparse, sys
import numpy as np


class RunbookError(ValueError):
    """A step that cannot be done; the text names the step and the field."""


def load(path, name=None):
    """(data set's name, max_pts, steps) of a file, checked."""
    import yaml
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    if not isinstance(document, dict) or not document:
        raise RunbookError(f"{path} holds no data set")
    name = name or next(iter(document))
    if name not in document:
        raise RunbookError(f"{path} has no data set {name}: it has {', '.join(map(str, document))}")
    body = document[name]
    if not isinstance(body, dict) or not isinstance(body.get("max_pts"), int) or body["max_pts"] < 1:
        raise RunbookError(f"{name}: max_pts must be a whole number from 1 on")
    steps = []
    while len(steps) + 1 in body:
        steps.append(body[len(steps) + 1])
    stray = [key for key in body if isinstance(key, int) and not 1 <= key <= len(steps)]
    if stray:
        raise RunbookError(f"{name}: steps are numbered from 1 without a gap; {stray[0]} follows none")
    check(steps, body["max_pts"])
    return name, body["max_pts"], steps


def _bounds(number, step, low, high):
    for key in (low, high):
        if not isinstance(step.get(key), int) or step[key] < 0:
            raise RunbookError(f"step {number}: {key} must be a whole number from 0 on, got {step.get(key)!r}")
    if step[low] >= step[high]:
        raise RunbookError(f"step {number}: {low} {step[low]} is not below {high} {step[high]}")
    return step[low], step[high]


def check(steps, max_pts):
    """Play the steps on a set of tags: nothing is inserted twice, deleted or replaced when absent, and max_pts holds."""
    alive = set()
    for number, step in enumerate(steps, 1):
        operation = step.get("operation") if isinstance(step, dict) else None
        if operation == "search":
            continue
        if operation == "replace":
            tags, ids = _bounds(number, step, "tags_start", "tags_end"), _bounds(number, step, "ids_start", "ids_end")
            if tags[1] - tags[0] != ids[1] - ids[0]:
                raise RunbookError(f"step {number}: {tags[1] - tags[0]} tags but {ids[1] - ids[0]} ids")
            if not alive.issuperset(range(*tags)):
                raise RunbookError(f"step {number}: replaces a tag that is not there")
        elif operation == "insert":
            start, end = _bounds(number, step, "start", "end")
            if not alive.isdisjoint(range(start, end)):
                raise RunbookError(f"step {number}: inserts a tag that is there already")
            alive.update(range(start, end))
            if len(alive) > max_pts:
                raise RunbookError(f"step {number}: {len(alive)} rows are more than max_pts {max_pts}")
        elif operation == "delete":
            start, end = _bounds(number, step, "start", "end")
            if not alive.issuperset(range(start, end)):
                raise RunbookError(f"step {number}: deletes a tag that is not there")
            alive.difference_update(range(start, end))
        else:
            raise RunbookError(f"step {number}: operation must be insert, delete, replace or search, got {operation!r}")


def _insert(start, end):
    return {"operation": "insert", "start": int(start), "end": int(end)}


def _delete(start, end):
    return {"operation": "delete", "start": int(start), "end": int(end)}


SEARCH = {"operation": "search"}


def sliding(rows, churn, steps, seed):
    """A window of half the rows moves over them, again from the start at the end, until churn x 100 % of it was deleted."""
    piece = max(rows // (2 * steps), 1)
    pieces = rows // piece
    out = [_insert(i * piece, (i + 1) * piece) for i in range(pieces // 2)] + [SEARCH]
    for i in range(round(churn * (pieces // 2))):
        old, new = i % pieces, (i + pieces // 2) % pieces
        out += [_delete(old * piece, (old + 1) * piece), _insert(new * piece, (new + 1) * piece)]
        if (i + 1) % max(pieces // 4, 1) == 0:
            out.append(SEARCH)
    return out + ([SEARCH] if out[-1] != SEARCH else [])


def expiration(rows, churn, steps, seed):
    """Each step inserts a piece that lives for ever (1 of 9), a tenth of all steps (2 of 9) or a fortieth (6 of 9). One pass: churn is not used."""
    random, steps = np.random.default_rng(seed), max(steps, 40)
    piece, due, out = rows // steps, {}, []
    for i in range(steps):
        for old in due.pop(i, []):
            out.append(_delete(old * piece, (old + 1) * piece))
        out.append(_insert(i * piece, (i + 1) * piece))
        life = random.choice([steps + 1, steps // 10, steps // 40], p=[1 / 9, 2 / 9, 6 / 9])
        due.setdefault(i + max(int(life), 1), []).append(i)
        if i % 2:
            out.append(SEARCH)
    return out


def clustered(rows, churn, steps, seed):
    """Rounds of: insert a share of every cluster, one after the other, then delete 50 to 90 % of what it has. steps = clusters."""
    random, out = np.random.default_rng(seed), []
    edges = [rows * c // steps for c in range(steps + 1)]
    alive = [[edges[c], edges[c]] for c in range(steps)]  # a run of each cluster, taken from its end, dropped at its front
    for _ in range(max(round(churn), 1)):
        for c in random.permutation(steps):
            if alive[c][1] >= edges[c + 1]:  # its rows are used up: begin again
                if alive[c][0] < alive[c][1]:
                    out.append(_delete(*alive[c]))
                alive[c] = [edges[c], edges[c]]
            share = max(int((edges[c + 1] - edges[c]) * random.uniform(0.2, 0.6)), 1)
            end = min(alive[c][1] + share, edges[c + 1])
            out.append(_insert(alive[c][1], end))
            alive[c][1] = end
        out.append(SEARCH)
        for c in random.permutation(steps):
            count = int((alive[c][1] - alive[c][0]) * random.uniform(0.5, 0.9))
            if count:
                out.append(_delete(alive[c][0], alive[c][0] + count))
                alive[c][0] += count
        out.append(SEARCH)
    return out


def replace(rows, churn, steps, seed):
    """Half of the rows are inserted; then tags get other rows piece by piece, each tag churn times."""
    piece = max(rows // (2 * steps), 1)
    half, out = piece * steps, [_insert(0, piece * steps), SEARCH]
    for i in range(round(churn * steps)):
        tag, row = (i % steps) * piece, (half + i * piece) % (2 * half)
        out.append({"operation": "replace", "tags_start": tag, "tags_end": tag + piece, "ids_start": row, "ids_end": row + piece})
        if (i + 1) % max(steps // 2, 1) == 0:
            out.append(SEARCH)
    return out


KINDS = {"sliding": sliding, "expiration": expiration, "clustered": clustered, "replace": replace}


def most_alive(steps):
    alive = most = 0
    for step in steps:
        alive += {"insert": 1, "delete": -1}.get(step["operation"], 0) * (step.get("end", 0) - step.get("start", 0))
        most = max(most, alive)
    return most


def make(kind, rows, churn=10, steps=20, seed=0):
    """(max_pts, steps) of a new runbook, checked."""
    out = KINDS[kind](rows, churn, steps, seed)
    check(out, most_alive(out))
    return most_alive(out), out


def order(rows, clusters, seed=0):
    """The permutation that sorts rows by cluster (k-means on a sample), so that a run of tags is a cluster."""
    random = np.random.default_rng(seed)
    sample = rows[random.choice(len(rows), min(len(rows), 20000), replace=False)].astype(np.float32)
    centers = sample[random.choice(len(sample), clusters, replace=False)]
    near = lambda x: np.argmin((centers**2).sum(1) - 2 * (x.astype(np.float32) @ centers.T), axis=1)
    for _ in range(10):
        labels = near(sample)
        centers = np.stack([sample[labels == c].mean(0) if (labels == c).any() else centers[c] for c in range(clusters)])
    labels = np.concatenate([near(rows[at : at + 50000]) for at in range(0, len(rows), 50000)])
    return np.argsort(labels, kind="stable")


def write(file, name, max_pts, steps):
    file.write(f"{name}:\n  max_pts: {max_pts}\n")
    for number, step in enumerate(steps, 1):
        file.write(f"  {number}:\n" + "".join(f"    {key}: {value}\n" for key, value in step.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("rows", type=int)
    parser.add_argument("--name", default="local")
    parser.add_argument("--churn", type=float, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(sys.stdout, args.name, *make(args.kind, args.rows, args.churn, args.steps, args.seed))


if __name__ == "__main__":
    main()
