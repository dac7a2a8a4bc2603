#!/usr/bin/env python3
"""Data directories of released formats, which every later build must open.

  formats.py check --binary FILE             open each NAME.tar.gz of this folder: verify, same answers, then a write and a restart
  formats.py make NAME --binary FILE         write NAME.tar.gz and NAME.json with this build (once per release)
"""
import json
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import live  # noqa: E402

QUERIES = [[1, 0, 0, 0], [0, 1, 0, 1], [0.5, 0.5, -1, 2]]


def answers(client):
    out = {}
    for name in ("plain", "split"):
        out[name] = {"count": client.post(f"/v1/collections/{name}/count", {})["count"],
                     "red": client.post(f"/v1/collections/{name}/count", {"filter": 'colour == "red"'})["count"],
                     "hits": [[hit["id"] for hit in client.post(f"/v1/collections/{name}/search", {"vector": q, "k": 5, "exact": True})["hits"]]
                              for q in QUERIES],
                     "records": sorted(json.dumps(r, sort_keys=True) for r in client.scroll(name, with_vector=True)),
                     "log": [[r["offset"] for r in client.log(name, p)] for p in range(1 if name == "plain" else 3)]}
    out["alias"] = client.get("/v1/aliases/current")["collection"]
    return out


def fill(client):
    for name, partitions in (("plain", 1), ("split", 3)):
        client.post("/v1/collections", {"name": name, "dimension": 4, "metric": "l2", "partitions": partitions})
        for turn in range(3):
            records = [{"id": f"k{i}" if i % 2 else i, "vector": [i % 7, i % 5, turn, i % 3], "event_id": f"e{turn}.{i}", "model_version": f"m{turn}",
                        "metadata": {"colour": "red" if i % 3 else "blue", "turn": turn, "deep": {"list": [1, "two", None]}}}
                       for i in range(turn * 10, turn * 10 + 40)]
            client.post(f"/v1/collections/{name}/upsert", {"records": records})
            client.post(f"/v1/collections/{name}/delete", {"ids": [turn * 10, f"k{turn * 10 + 3}"]})
            if turn == 1:
                client.post("/v1/snapshots")
    client.call("PUT", "/v1/aliases/current", {"collection": "split"})


def make(name, binary):
    with live.Server(binary) as server:
        server.start()
        client = server.client()
        fill(client)
        expected = answers(client)
        client.close()
        server.kill()  # so that there is a snapshot and a log behind it
        with tarfile.open(os.path.join(HERE, name + ".tar.gz"), "w:gz") as archive:
            archive.add(server.data, "data", filter=lambda entry: None if entry.name.endswith(("/lock", "/reserve")) else entry)
    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1)


def check_one(name, binary):
    with open(os.path.join(HERE, name + ".json"), encoding="utf-8") as file:
        expected = json.load(file)
    folder = tempfile.mkdtemp(prefix="freshet-format-")
    with tarfile.open(os.path.join(HERE, name + ".tar.gz")) as archive:
        archive.extractall(folder)
    verified = subprocess.run([binary, "verify", os.path.join(folder, "data")], capture_output=True, text=True)
    if verified.returncode:
        return "verify: " + verified.stdout + verified.stderr
    server = live.Server(binary, folder)
    try:
        for _ in range(2):
            server.start()
            client = server.client()
            found = answers(client)
            for collection, wanted in expected.items():
                if found[collection] != wanted:
                    return f"{collection}: {json.dumps(found[collection])[:300]} instead of {json.dumps(wanted)[:300]}"
            client.close()
            server.stop()
        server.start()
        client = server.client()
        client.post("/v1/collections/plain/upsert", {"records": [{"id": "new", "vector": [9, 9, 9, 9]}]})
        client.close()
        server.stop()
        server.start()
        if server.client().post("/v1/collections/plain/count", {})["count"] != expected["plain"]["count"] + 1:
            return "a write is lost"
        return None
    finally:
        server.kill()
        subprocess.run(["rm", "-rf", folder], check=False)


def main():
    arguments = sys.argv[1:]
    if len(arguments) < 3 or arguments[-2] != "--binary" or arguments[0] not in ("check", "make"):
        print(__doc__)
        return 2
    if arguments[0] == "make":
        make(arguments[1], arguments[-1])
        return 0
    names = sorted(f[:-len(".tar.gz")] for f in os.listdir(HERE) if f.endswith(".tar.gz"))
    failed = 0
    for name in names:
        wrong = check_one(name, arguments[-1])
        failed += wrong is not None
        print(f"{name}: {wrong or 'opens, same answers'}")
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
