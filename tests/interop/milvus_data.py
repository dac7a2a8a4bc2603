"""Data through an unmodified pymilvus, run in its own Python: URI step. What the 110 conformance checks do not ask."""
import sys

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

URI, STEP = sys.argv[1:3]
client = MilvusClient(URI)


def make(name, **options):
    schema = client.create_schema(enable_dynamic_field=True, auto_id=options.get("auto_id", False))
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("s", DataType.VARCHAR, max_length=16, nullable=True)
    schema.add_field("n", DataType.INT32, default_value=7)
    index = client.prepare_index_params()
    index.add_index("v", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def count(name, expression=""):
    return client.query(name, filter=expression, output_fields=["count(*)"])[0]["count(*)"]


def refused(call, code, part=""):
    try:
        call()
    except MilvusException as error:
        assert error.code == code and part in error.message, error
        return
    raise AssertionError("not refused")


def write():
    """More rows than one request of the engine takes; lists longer than a filter's text; nulls; ids given by the server."""
    make("big")
    rows = [{"id": i, "v": [i % 97, 0, 0, 1], "extra": i % 5} for i in range(25000)]
    assert client.insert("big", rows)["insert_count"] == 25000
    assert count("big") == 25000
    ids = list(range(0, 25000, 2))
    assert len(client.query("big", ids=ids, output_fields=["id"])) == 12500
    assert count("big", f"id in {ids} and extra == 0") == 2500
    assert count("big", f"id not in {ids}") == 12500
    hits = client.search("big", [[3, 0, 0, 1]], anns_field="v", limit=10, filter=f"id in {ids}")[0]
    assert all(h["id"] % 2 == 0 for h in hits) and len(hits) == 10
    many = client.search("big", [[i % 97, 0, 0, 1] for i in range(1100)], anns_field="v", limit=1)
    assert len(many) == 1100 and all(h[0]["distance"] == 0 for h in many)
    assert client.delete("big", ids=ids)["delete_count"] == 12500
    assert count("big") == 12500
    assert client.delete("big", filter="extra == {x}", filter_params={"x": 1})["delete_count"] == 2500
    first = [r["id"] for r in client.query("big", filter="id < 20", output_fields=["id"])]
    assert first == [3, 5, 7, 9, 13, 15, 17, 19], first
    make("nulls")
    client.insert("nulls", [{"id": 1, "v": [0, 0, 0, 0], "s": None, "n": None}, {"id": 2, "v": [1, 0, 0, 0], "s": "x", "n": 3, "d": {"k": [1]}},
                            {"id": 3, "v": [2, 0, 0, 0]}])
    got = client.query("nulls", filter="id > 0", output_fields=["s", "n", "d"])
    assert [(r["s"], r["n"], r.get("d")) for r in got] == [(None, 7, None), ("x", 3, {"k": [1]}), (None, 7, None)], got
    assert count("nulls", "s is null") == 2 and count("nulls", "not (s == 'x')") == 0
    refused(lambda: client.insert("nulls", [{"id": 4, "v": [0, 0, 0, 0], "s": "x" * 17}]), 1100, "max length")
    refused(lambda: client.query("nulls", filter="s > 5", output_fields=["id"]), 1100, "VarChar")
    refused(lambda: client.query("nulls", filter="id > {x}", output_fields=["id"]), 1100, "template")
    assert count("nulls") == 3
    make("auto", auto_id=True)
    print(client.insert("auto", [{"v": [i, 0, 0, 0]} for i in range(100)])["ids"][-1])


def again():
    """After a restart: everything is there, and new ids are above the old ones."""
    assert count("big") == 10000 and count("nulls") == 3 and count("auto") == 100
    old = max(r["id"] for r in client.query("auto", filter="id > 0", output_fields=["id"]))
    new = client.insert("auto", [{"v": [0, 0, 0, 0]}, {"v": [1, 0, 0, 0]}])["ids"]
    assert len(set(new)) == 2 and min(new) > old, (old, new)
    seen = []
    pages = client.search_iterator("big", data=[[0, 0, 0, 1]], anns_field="v", batch_size=100, limit=5000, search_params={"metric_type": "L2"})
    while page := pages.next():
        seen += [(h["distance"], h["id"]) for h in page]
    assert len(seen) == 5000 and len({i for _, i in seen}) == 5000 and [d for d, _ in seen] == sorted(d for d, _ in seen)


{"write": write, "again": again}[STEP]()
print("done", np.__name__)
