"""Eight pymilvus clients at once for a while, run in its own Python: URI SECONDS. Each owns its keys of one collection and checks what it reads of them;
searches, counts, iterators and changes of the collection go on beside. For a server built with ThreadSanitizer."""
import random
import sys
import threading
import time

from pymilvus import DataType, MilvusClient, MilvusException

URI, SECONDS = sys.argv[1], float(sys.argv[2])
DIMENSION, THREADS = 16, 8
failures, done = [], {}


def make(client):
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIMENSION)
    schema.add_field("owner", DataType.INT32)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 40})
    client.create_collection("threads", schema=schema, index_params=index, consistency_level="Strong")


def row(key, owner, version):
    return {"id": key, "v": [float(key % 97), float(version)] + [0.0] * (DIMENSION - 2), "owner": owner, "version": version}


def work(me, until):
    client, rng, mine, made = MilvusClient(URI), random.Random(me), {}, 0
    while time.monotonic() < until and not failures:
        act = rng.random()
        made += 1
        if act < 0.35 or not mine:
            keys = [me * 1000000 + rng.randrange(2000) for _ in range(rng.choice((1, 10, 100)))]
            for key in keys:
                mine[key] = made
            (client.insert if act < 0.2 else client.upsert)("threads", [row(key, me, made) for key in dict.fromkeys(keys)])
        elif act < 0.45:
            gone = rng.sample(sorted(mine), min(len(mine), 5))
            client.delete("threads", ids=gone)
            for key in gone:
                del mine[key]
        elif act < 0.75:
            key = rng.choice(sorted(mine))
            hits = client.search("threads", [row(key, me, mine[key])["v"]], anns_field="v", limit=5, filter=f"owner == {me}", output_fields=["version"])[0]
            assert hits and hits[0]["distance"] == 0, (key, hits)
            assert all(mine.get(h["id"]) == h["entity"]["version"] for h in hits), hits
        elif act < 0.85:
            assert client.query("threads", filter=f"owner == {me}", output_fields=["count(*)"])[0]["count(*)"] == len(mine)
        elif act < 0.9:
            pages, seen = client.query_iterator("threads", batch_size=100, filter=f"owner == {me}", output_fields=["version"]), {}
            while page := pages.next():
                seen |= {r["id"]: r["version"] for r in page}
            assert seen == mine
        elif act < 0.94:
            client.describe_collection("threads"), client.list_collections(), client.get_collection_stats("threads")
        elif act < 0.97:
            name = f"own{me}"
            client.create_collection(name, dimension=4)
            client.insert(name, [{"id": 1, "vector": [1, 2, 3, 4]}])
            client.drop_collection(name)
        else:
            client.close()  # other connections, also on other loops
            client = MilvusClient(URI)
    done[me] = made
    client.close()


def guarded(me, until):
    try:
        work(me, until)
    except (AssertionError, MilvusException, KeyError, IndexError) as error:
        failures.append((me, repr(error)[:1500]))


if __name__ == "__main__":
    make(MilvusClient(URI))
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=guarded, args=(me, end)) for me in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    print(f"{sum(done.values())} calls\ndone")
