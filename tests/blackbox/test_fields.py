"""Collections with several vector fields and typed scalars, and sparse vectors, over /v1."""
import os
import random
import shutil
import signal

import pytest

FIELDS = [
    {"name": "sku", "type": "int64", "primary": True},
    {"name": "image", "type": "vector", "dimension": 4, "metric": "l2"},
    {"name": "words", "type": "vector", "vector_type": "sparse", "metric": "ip"},
    {"name": "bits", "type": "vector", "vector_type": "binary", "dimension": 16, "nullable": True},
    {"name": "half", "type": "vector", "vector_type": "f16", "dimension": 2, "metric": "ip", "nullable": True},
    {"name": "price", "type": "double"},
    {"name": "tags", "type": "array", "element_type": "varchar", "max_length": 8, "max_capacity": 3, "nullable": True},
]


def record(sku, **more):
    pick = random.Random(sku)
    return {"id": sku, "vector": [sku, 0, 0, 0], "vectors": {"words": {str(sku): 1.0, "7": 0.5}, "bits": [sku % 256, 255], "half": [pick.random(), 1]},
            "metadata": {"price": sku / 2, "tags": ["a"]}} | more


def ids(hits):
    return [hit["id"] for hit in hits]


def questions(server, name):
    return {
        "first": server.search(name, vector=[3.2, 0, 0, 0], k=3),
        "image": server.search(name, vector=[3.2, 0, 0, 0], k=3, field="image"),
        "words": server.search(name, vector={"12": 2, "7": 1}, k=2, field="words"),
        "many": server.search(name, vectors=[{"indices": [3, 9], "values": [1, 2]}, {"5": 1}], k=1, field="words"),
        "bits": server.search(name, vector=[5, 255], k=1, field="bits", with_vectors=["bits", "words"]),
        "half": server.search(name, vector=[1, 0], k=4, field="half", with_vectors=True, filter="price < 5 and array_contains(tags, 'a')"),
    }


def test_every_field_is_searched_also_after_a_restart(server):
    made = server.ok("POST", "/v1/collections", {"name": "shop", "fields": FIELDS})
    assert [field["name"] for field in made["fields"]] == ["sku", "image", "words", "bits", "half", "price", "tags"]
    assert made["id_type"] == "int64" and made["dimension"] == 4 and made["dynamic"]
    assert made["fields"][2] | {"codes": 0, "profile": 0, "vectors": 0, "m": 0, "ef_construction": 0} == {
        "name": "words", "type": "vector", "vector_type": "sparse", "metric": "ip", "nullable": False, "codes": 0, "profile": 0, "vectors": 0, "m": 0,
        "ef_construction": 0}
    server.upsert("shop", [record(sku) for sku in range(20)])
    server.upsert("shop", [record(20, vectors={"words": {"1": 0.25}, "bits": None}, metadata={"price": 1, "free": True})])
    found = questions(server, "shop")
    assert ids(found["first"]) == ids(found["image"]) == [3, 4, 2]
    assert ids(found["words"])[0] == 12 and abs(found["words"][0]["score"] - 2.5) < 1e-6
    assert [ids(one) for one in found["many"]] == [[9], [5]]
    assert ids(found["bits"]) == [5] and found["bits"][0]["vectors"] == {"words": {"5": 1.0, "7": 0.5}, "bits": [5, 255]}
    assert len(found["half"]) == 4 and list(found["half"][0]["vectors"]) == ["image", "words", "bits", "half"]
    got = server.ok("POST", "/v1/collections/shop/get", {"ids": [20], "with_vectors": True, "with_vector": True})["records"][0]
    assert got["vector"] == [20, 0, 0, 0] and got["vectors"] == {"image": [20, 0, 0, 0], "words": {"1": 0.25}, "bits": None, "half": None}
    assert server.ok("POST", "/v1/collections/shop/scroll", {"limit": 1, "with_vectors": ["words"]})["records"][0]["vectors"] == {"words": {"0": 1.0, "7": 0.5}}
    logged = server.ok("GET", "/v1/collections/shop/log?offset=20")["records"][0]
    assert logged["vector"] == [20, 0, 0, 0] and logged["vectors"] == {"words": {"1": 0.25}}
    server.stop()
    server.start()
    assert questions(server, "shop") == found
    server.ok("POST", "/v1/collections/shop/compact")  # what is overwritten goes; then the log alone must do
    server.stop(signal.SIGKILL)
    shutil.rmtree(os.path.join(server.data, "snap"))
    server.start()
    assert questions(server, "shop") == found


def test_a_sparse_collection(server):
    made = server.ok("POST", "/v1/collections", {"name": "sparse", "vector_type": "sparse", "metric": "bm25"})
    assert made["dimension"] == 0 and made["metric"] == "bm25"
    server.upsert("sparse", [{"id": i, "vector": {str(i): 2, "1000": 1}} for i in range(10)])
    hits = server.search("sparse", vector={"4": 1, "1000": 1}, k=2, with_vector=True)
    assert hits[0]["id"] == 4 and hits[0]["vector"] == {"4": 2, "1000": 1}


@pytest.mark.parametrize("change, field", [
    ({"field": "nothing"}, "field"), ({"field": "price"}, "field"), ({"field": 1}, "field"), ({"vector": [1, 2, 3]}, "vector"),
    ({"field": "words", "vector": [1]}, "vector"), ({"field": "bits"}, "vector"), ({"with_vectors": ["nothing"]}, "with_vectors"),
    ({"with_vectors": 1}, "with_vectors"), ({"with_vectors": [1]}, "with_vectors"), ({"field": "words", "vector": {"1": "a"}}, "vector")])
def test_bad_searches(server, change, field):
    reply = server.post("/v1/collections/shop/search", {"vector": [1, 2, 3, 4], "k": 1} | change)
    assert reply.status == 400 and reply.error["field"] == field, reply.body


@pytest.mark.parametrize("fields, more, field", [
    ([], {}, "fields"), ([1], {}, "fields[0]"), ([{"name": "a"}], {}, "fields[0].type"), ([{"name": "a", "type": "vector"}], {}, "fields[0].dimension"),
    ([{"name": "a", "type": "bool", "dimension": 3}], {}, "fields[0].dimension"),
    ([{"name": "a", "type": "vector", "dimension": 3, "max_length": 3}], {}, "fields[0].max_length"),
    ([{"name": "a", "type": "array"}], {}, "fields[0].element_type"), ([{"name": "$a", "type": "bool"}], {}, "fields[0]"),
    ([{"name": "v", "type": "vector", "dimension": 3, "primary": True}], {}, "fields[0].primary"),
    ([{"name": "v", "type": "vector", "dimension": 3, "what": 1}], {}, "fields[0].what"),
    ([{"name": "v", "type": "vector", "dimension": 3}], {"metric": "l2"}, "metric"),
    ([{"name": "v", "type": "vector", "dimension": 3}, {"name": "a", "type": "bool", "primary": True}], {}, "fields[1]"),
    ([{"name": "i", "type": "int64", "primary": True}, {"name": "v", "type": "vector", "dimension": 8, "vector_type": "binary", "metric": "l2"}], {},
     "fields[1].metric"),
    ([{"name": "v%d" % i, "type": "vector", "dimension": 3} for i in range(9)], {}, "fields[8]"),
    ([{"name": "v", "type": "vector", "dimension": 3}, {"name": "i", "type": "int64", "primary": True}], {"id_type": "string"}, "id_type")])
def test_bad_definitions(server, fields, more, field):
    reply = server.post("/v1/collections", {"name": "bad", "fields": fields} | more)
    assert reply.status in (400, 413) and reply.error["field"] == field, reply.body
    assert server.get("/v1/collections/bad").status == 404


@pytest.mark.parametrize("change, field", [
    ({"metadata": {}}, "records[0].price"), ({"metadata": {"price": "x"}}, "records[0].price"),
    ({"metadata": {"price": 1, "tags": ["a", "b", "c", "d"]}}, "records[0].tags"), ({"metadata": {"price": 1, "tags": ["123456789"]}}, "records[0].tags[0]"),
    ({"vectors": {}}, "records[0].vectors.words"), ({"id": "a"}, "records[0].id")])
def test_bad_records(server, change, field):
    before = server.count("shop")
    reply = server.post("/v1/collections/shop/upsert", {"records": [record(99, **change)]})
    assert reply.status == 400 and reply.error["field"] == field, reply.body
    assert server.count("shop") == before
