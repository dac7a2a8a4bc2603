#!/usr/bin/env python3
"""scripts/run --check: the main job on a throw-away folder, a kill -9 in the middle of updates, and the proof.

1. WordNet is streamed in by `freshet import` while searches run.
2. Writers on several connections update and delete random glosses; what was acknowledged goes to a side file.
3. The server is killed with SIGKILL in the middle of that, and started again.
4. Every record is read back and compared: each acknowledged update is there with its latest value, each acknowledged
   delete is gone, each request under way is there whole or not at all, everything else is as it was loaded.
Exit 0, or 1 with the list of what is wrong.
"""
import argparse
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "support"))
from live import ERRORS, Client, Failure, Server, Writer  # noqa: E402

QUERIES = ["a small domesticated animal that purrs", "a person who writes poems", "moving very fast",
           "frozen water falling from the sky", "to cook food in hot oil"]


def search(client, text):
    hits = client.patiently("POST", "/v1/collections/wordnet/search", {"text": text, "k": 3, "output": ["*"]})["hits"]
    return hits


def show(text, hits):
    print(f'  "{text}"')
    for hit in hits:
        metadata = hit["metadata"]
        print(f"      {hit['score']:.3f}  {', '.join(metadata['words'])}: {metadata['text'].split(';')[0][:90]}")


def search_while(port, done, counts):
    client = Client(port)
    while not done.is_set():
        try:
            hits = search(client, random.choice(QUERIES))
            counts["searches"] += 1
            counts["hits"] += len(hits)
        except Failure as failure:
            if failure.status != 404:  # the collection is made by the import
                counts["errors"].append(str(failure))
        except ERRORS as error:
            if not done.is_set():
                counts["errors"].append(repr(error))
        time.sleep(0.02)
    client.close()


def load(server, wordnet):
    done = threading.Event()
    counts = {"searches": 0, "hits": 0, "errors": []}
    searcher = threading.Thread(target=search_while, args=(server.port, done, counts))
    searcher.start()
    start = time.monotonic()
    command = [server.binary, "import", wordnet, "--collection", "wordnet", "--create", "--dimension", "256", "--metric", "cosine",
               "--state", server.folder, "--url", server.url]
    code = subprocess.run(command, check=False).returncode
    seconds = time.monotonic() - start
    done.set()
    searcher.join()
    if code != 0 or counts["errors"]:
        sys.exit(f"the import failed (status {code}), or searches did: {counts['errors'][:3]}")
    client = server.client()
    count = client.post("/v1/collections/wordnet/count", {})["count"]
    print(f"loaded {count} records in {seconds:.1f} s ({count / seconds:.0f}/s); {counts['searches']} searches meanwhile")
    for text in QUERIES[:3]:
        show(text, search(client, text))
    original = {r["id"]: r["metadata"]["text"] for r in client.scroll("wordnet")}
    client.close()
    if len(original) != count or count == 0:
        sys.exit(f"count says {count}, scroll gave {len(original)} distinct records")
    return original


def second_stream(server, original, arguments):
    def make(key, revision, event_id):
        return {"id": key, "text": f"revision {revision} of {original[key]}", "event_id": event_id,
                "metadata": {"revision": revision, "words": ["changed"]}}

    keys = sorted(original)
    writers = []
    side_path = os.path.join(server.folder, "acknowledged.jsonl")
    with open(side_path, "w", encoding="utf-8") as side:
        for index in range(arguments.connections):
            own = keys[index::arguments.connections]
            writers.append(Writer(server.port, "wordnet", f"w{index}", own, dict.fromkeys(own, 0), arguments.seed * 100 + index, make,
                                  batch_max=50, side=side))
        for writer in writers:
            writer.start()
        begun, enough = time.monotonic(), False
        while time.monotonic() < begun + (arguments.seconds if enough else 60):  # longer on a slow machine
            time.sleep(0.01)
            enough = sum(w.updates for w in writers) >= 100 and sum(w.deletes for w in writers) >= 10
        server.kill()
        for writer in writers:
            writer.join()
    errors = [f"{w.label}: {w.error}" for w in writers if w.error]
    updates, deletes = sum(w.updates for w in writers), sum(w.deletes for w in writers)
    under_way = sum(w.pending is not None for w in writers)
    print(f"killed with SIGKILL: {updates} updates and {deletes} deletes were acknowledged, {under_way} requests were under way")
    if updates < 100 or deletes < 10:
        errors.append("too few acknowledged changes to prove anything")
    return writers, errors


def compare(server, original, writers):
    client = server.client()
    found, texts, wrong = {}, {}, []
    for record in client.scroll("wordnet"):
        if record["id"] in found:
            wrong.append(f"{record['id']} is there twice")
        found[record["id"]] = record["metadata"].get("revision", 0)
        texts[record["id"]] = record["metadata"]["text"]
    state = {}
    for writer in writers:
        wrong += writer.settle(found)
        state.update(writer.state)
    lost = resurrected = stale = 0
    for key, revision in state.items():
        if key not in found:
            lost += 1
            wrong.append(f"lost: {key} (revision {revision})")
        elif found[key] != revision or texts[key] != (f"revision {revision} of {original[key]}" if revision else original[key]):
            stale += 1
            wrong.append(f"wrong value: {key} has revision {found[key]}, acknowledged was {revision}")
    for key in found:
        if key not in state:
            resurrected += 1
            wrong.append(f"resurrected: {key}")
    count = client.post("/v1/collections/wordnet/count", {})["count"]
    if count != len(found):
        wrong.append(f"count says {count}, scroll gave {len(found)}")
    # what was acknowledged must be found by searching too, not only by key
    sample = [k for k, revision in state.items() if revision][:200]
    for key in sample:
        hits = search(client, texts.get(key, original[key]))
        if not any(hit["id"] == key for hit in hits) and not any(abs(hit["distance"]) < 1e-5 for hit in hits):
            wrong.append(f"not found by its own text: {key}")
    for text in QUERIES[:2]:
        show(text, search(client, text))
    client.close()
    print(f"compared {len(state)} live and {len(original) - len(state)} deleted records: {lost} lost, {stale} with a wrong value, "
          f"{resurrected} resurrected")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--wordnet", default="/usr/share/wordnet")
    parser.add_argument("--connections", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6, help="of updates before the kill")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with Server(arguments.binary) as server:
        server.start()
        original = load(server, arguments.wordnet)
        writers, wrong = second_stream(server, original, arguments)
        server.start(ready=False)
        print(f"started again: ready after {server.wait_ready():.2f} s")
        wrong += compare(server, original, writers)
        status = server.stop()
        if status != 0:
            wrong.append(f"the server ended with status {status} on SIGTERM")
        if wrong:
            for line in wrong[:50]:
                print(line)
            print(f"FAILED: {len(wrong)} findings")
            server.keep = True
            return 1
    print("nothing that was acknowledged is lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
