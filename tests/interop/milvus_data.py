"""Data through an unmodified pymilvus, run in its own Python: URI step. What the 110 conformance checks do not ask."""
import json
import sys
import urllib.request

import numpy as np
from pymilvus import DataType, Function, FunctionType, MilvusClient, MilvusException

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


def v1(path, body):
    request = urllib.request.Request(f"{URI}/v1/collections{path}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def both_doors():
    """Two vector fields, made here and asked over HTTP; made over HTTP and asked here."""
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("n", DataType.INT32)
    index = client.prepare_index_params()
    index.add_index("dense", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 64})
    index.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_collection("two", schema=schema, index_params=index, consistency_level="Strong")
    client.insert("two", [{"id": i, "dense": [i, 0, 0, 0], "words": {i: 1.0, 500: 0.5}, "n": i, "more": "x"} for i in range(30)])
    hits = v1("/two/search", {"vector": {"7": 2, "500": 1}, "field": "words", "k": 1, "with_vectors": True, "filter": "n < 20"})["hits"]
    assert hits[0]["id"] == 7 and hits[0]["vectors"] == {"dense": [7, 0, 0, 0], "words": {"7": 1.0, "500": 0.5}}, hits
    assert hits[0]["metadata"]["n"] == 7 and hits[0]["metadata"]["more"] == "x", hits
    v1("/two/upsert", {"records": [{"id": 30, "vector": [30, 0, 0, 0], "vectors": {"words": {"30": 4}}, "metadata": {"n": 30}}]})
    assert client.search("two", [{30: 1.0}], anns_field="words", limit=1, output_fields=["n", "dense"])[0][0]["entity"] == {"n": 30, "dense": [30, 0, 0, 0]}
    v1("", {"name": "made", "fields": [{"name": "key", "type": "varchar", "primary": True, "max_length": 20}, {"name": "a", "type": "vector", "dimension": 2, "metric": "l2"},
                                       {"name": "b", "type": "vector", "dimension": 2, "vector_type": "f16", "metric": "ip"},
                                       {"name": "price", "type": "double"}]})
    described = client.describe_collection("made")
    assert [(f["name"], f["type"]) for f in described["fields"]] == [("key", DataType.VARCHAR), ("a", DataType.FLOAT_VECTOR),
                                                                     ("b", DataType.FLOAT16_VECTOR), ("price", DataType.DOUBLE)], described
    client.insert("made", [{"key": "x", "a": [1, 2], "b": np.array([1, 2], dtype=np.float16), "price": 2.5}])
    v1("/made/upsert", {"records": [{"id": "y", "vectors": {"a": [3, 4], "b": [5, 6]}, "metadata": {"price": 3}}]})
    assert [r["key"] for r in client.query("made", filter="price > 2", output_fields=["key"])] == ["x", "y"]
    assert [h["key"] for h in client.search("made", [np.array([1, 1], dtype=np.float16)], anns_field="b", limit=2)[0]] == ["y", "x"]


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


def small_scores():
    """Pages of an iterator on COSINE: scores near 0 are finer than the distances that the engine compares."""
    client.create_collection("angles", dimension=128, metric_type="COSINE")
    random = np.random.default_rng(7)
    client.insert("angles", [{"id": i, "vector": random.normal(size=128).tolist()} for i in range(60)])
    seen = []
    pages = client.search_iterator("angles", data=[random.normal(size=128).tolist()], batch_size=7, limit=60)
    while page := pages.next():
        seen += [hit["id"] for hit in page]
    assert sorted(seen) == list(range(60)), seen


def nothing_to_say():
    """A text without terms and a sparse vector without pairs are rows like any other; a search meets neither."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=100, enable_analyzer=True)
    schema.add_field("terms", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("pairs", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function(name="terms", function_type=FunctionType.BM25, input_field_names=["text"], output_field_names=["terms"]))
    index = client.prepare_index_params()
    index.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    index.add_index("pairs", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_collection("quiet", schema=schema, index_params=index, consistency_level="Strong")
    rows = [("hello world", {1: 0.5}), ("", {}), ("...", {2: 1.0}), ("hello", {})]
    client.insert("quiet", [{"id": i, "text": text, "pairs": pairs} for i, (text, pairs) in enumerate(rows)])
    found = client.query("quiet", filter="id >= 0", output_fields=["text", "pairs"])
    assert [(row["text"], dict(row["pairs"])) for row in found] == rows, found
    assert {hit["id"] for hit in client.search("quiet", data=["hello"], anns_field="terms", limit=4)[0]} == {0, 3}
    assert [hit["id"] for hit in client.search("quiet", data=[{2: 1.0}], anns_field="pairs", limit=4)[0]] == [2]


STEPS = {"write": (write, both_doors, small_scores, nothing_to_say), "again": (again,)}
for step in STEPS[STEP]:
    step()
print("done", np.__name__)
