"""pymilvus beside MilvusClient: connections and the ORM's Collection, and AsyncMilvusClient, run in its own Python: URI."""
import asyncio
import sys

import numpy as np
from pymilvus import (AnnSearchRequest, AsyncMilvusClient, Collection, CollectionSchema, DataType, FieldSchema, MilvusException, Partition, RRFRanker,
                      connections, utility)

URI = sys.argv[1]


def orm():
    connections.connect("default", uri=URI)
    assert connections.has_connection("default") and "v2" in utility.get_server_version()
    schema = CollectionSchema([FieldSchema("pk", DataType.VARCHAR, is_primary=True, max_length=20), FieldSchema("n", DataType.DOUBLE),
                               FieldSchema("v", DataType.FLOAT_VECTOR, dim=8), FieldSchema("w", DataType.FLOAT_VECTOR, dim=4)], "by the ORM")
    one = Collection("orm", schema, consistency_level="Strong")
    assert utility.has_collection("orm") and "orm" in utility.list_collections() and one.is_empty
    random = np.random.default_rng(1)
    vectors, others = random.random((300, 8), dtype=np.float32), random.random((300, 4), dtype=np.float32)
    done = one.insert([[str(i) for i in range(300)], [i / 2 for i in range(300)], vectors, others])
    assert done.insert_count == 300 and done.primary_keys[7] == "7"
    one.flush()
    assert one.num_entities == 300
    try:
        one.search([vectors[0]], "v", {"metric_type": "L2"}, 1)
        raise AssertionError("searched without an index")
    except MilvusException as error:
        assert error.code == 101, error
    for field in ("v", "w"):
        one.create_index(field, {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 16}})
    one.load()
    assert utility.loading_progress("orm") == {"loading_progress": "100%"} and utility.index_building_progress("orm", index_name="v")["pending_index_rows"] >= 0
    hits = one.search([vectors[5]], "v", {"metric_type": "L2", "params": {"nprobe": 16}}, limit=3, expr="n > 1", output_fields=["n"])[0]
    assert hits[0].id == "5" and hits[0].entity.get("n") == 2.5 and hits.distances[0] == 0
    assert [r["pk"] for r in one.query("n < 1.6", output_fields=["pk"])] == ["0", "1", "2", "3"]
    both = one.hybrid_search([AnnSearchRequest([vectors[9]], "v", {"metric_type": "L2"}, 10), AnnSearchRequest([others[9]], "w", {"metric_type": "L2"}, 10)],
                             RRFRanker(), 2)[0]
    assert both[0].id == "9"
    assert one.delete('pk in ["0", "1"]').delete_count == 2 and one.query("", output_fields=["count(*)"])[0]["count(*)"] == 298
    pages, seen = one.query_iterator(batch_size=50, expr="n >= 0", output_fields=["pk"]), []
    while page := pages.next():
        seen += [r["pk"] for r in page]
    assert seen == sorted(str(i) for i in range(2, 300))
    part = Partition(one, "part")
    part.insert([["x"], [1.0], vectors[:1], others[:1]])
    assert part.num_entities == 1 and {p.name for p in one.partitions} == {"_default", "part"} and one.has_partition("part")
    utility.create_alias("orm", "other")
    assert Collection("other").num_entities == 299 and one.aliases == ["other"]
    utility.drop_alias("other")
    assert [i.field_name for i in one.indexes] == ["v", "w"] and one.index(index_name="v").params == {
        "index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 16}}, one.index(index_name="v").params
    one.release()
    assert utility.load_state("orm").name == "NotLoad"
    one.drop()
    assert not utility.has_collection("orm")


async def asynchronous():
    client = AsyncMilvusClient(URI)
    await client.create_collection("async", dimension=8, metric_type="L2", consistency_level="Strong")
    random = np.random.default_rng(2)
    vectors = random.random((1000, 8), dtype=np.float32)
    rows = [{"id": i, "vector": vectors[i].tolist(), "k": i % 10} for i in range(1000)]
    done = await asyncio.gather(*(client.insert("async", rows[at:at + 100]) for at in range(0, 1000, 100)))
    assert sum(d["insert_count"] for d in done) == 1000
    found = await asyncio.gather(*(client.search("async", [vectors[i].tolist()], limit=3, output_fields=["k"]) for i in range(64)))
    assert all(f[0][0]["id"] == i and f[0][0]["entity"]["k"] == i % 10 for i, f in enumerate(found))
    assert len(await client.query("async", filter="k == 3", output_fields=["id"])) == 100
    assert [r["id"] for r in await client.get("async", ids=[4, 2], output_fields=["id"])] == [2, 4]
    await client.upsert("async", [{"id": 4, "vector": [9.0] * 8, "k": 77}])
    assert (await client.query("async", filter="k == 77", output_fields=["id"]))[0]["id"] == 4
    assert (await client.delete("async", ids=[1, 2]))["delete_count"] == 2
    assert (await client.query("async", output_fields=["count(*)"]))[0]["count(*)"] == 998
    both = await client.hybrid_search("async", [AnnSearchRequest([vectors[9].tolist()], "vector", {}, 10)], RRFRanker(), limit=1)
    assert both[0][0]["id"] == 9
    try:
        await client.search("none", [[0.0] * 8], limit=1)
        raise AssertionError("searched nothing")
    except MilvusException as error:
        assert error.code == 100, error
    await client.drop_collection("async")
    await client.close()


orm()
asyncio.run(asynchronous())
print("done")
