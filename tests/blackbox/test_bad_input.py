"""Bad input: 4xx that names the field and the limit; nothing is stored; the server stays up."""
import json

import pytest

V = [1, 0, 0]


def record(**more):
    return {"records": [{"id": 1, "vector": V, **more}]}


# verb, body (raw text when a string), status, field, a part of the message
ROWS = [
    ("upsert", {"records": [{"id": 1, "vector": [1, 2]}]}, 400, "records[0].vector", "dimension is 3"),
    ("upsert", '{"records":[{"id":1,"vector":[NaN,1,2]}]}', 400, "body", "JSON"),
    ("upsert", '{"records":[{"id":1,"vector":[Infinity,1,2]}]}', 400, "body", "JSON"),
    ("upsert", '{"records":[{"id":1,"vector":[-Infinity,1,2]}]}', 400, "body", "JSON"),
    ("upsert", '{"records":[{"id":1,"vector":[1e39,1,2]}]}', 400, "records[0].vector[0]", "3.4028235e38"),
    ("upsert", '{"records":[{"id":1,"vector":[1e400,1,2]}]}', 400, "body", "JSON"),
    ("upsert", {"records": [{"id": 1, "vector": [0, 0, 0]}]}, 400, "records[0].vector", "cosine"),
    ("upsert", {"records": [{"id": 1, "vector": V}, {"id": 2, "vector": [1]}]}, 400, "records[1].vector", "3"),
    ("upsert", {"records": [{"id": 1}]}, 400, "records[0].vector", "missing"),
    ("upsert", {"records": [{"vector": V}]}, 400, "records[0].id", "missing"),
    ("upsert", {"records": [{"id": 1.5, "vector": V}]}, 400, "records[0].id", "64"),
    ("upsert", {"records": [{"id": 2**63, "vector": V}]}, 400, "records[0].id", "64"),
    ("upsert", {"records": [{"id": 2**64, "vector": V}]}, 400, "body", ""),
    ("upsert", {"records": [{"id": "", "vector": V}]}, 400, "records[0].id", "512"),
    ("upsert", {"records": [{"id": "x" * 513, "vector": V}]}, 400, "records[0].id", "512"),
    ("upsert", {"records": [{"id": "a\0b", "vector": V}]}, 400, "records[0].id", "NUL"),
    ("upsert", b'{"records":[{"id":"\xff\xfe","vector":[1,0,0]}]}', 400, "body", "UTF"),
    ("upsert", b'{"records":[{"id":"\xc0\xaf","vector":[1,0,0]}]}', 400, "body", "UTF"),
    ("upsert", record(metadata=[]), 400, "records[0].metadata", "object"),
    ("upsert", record(metadata={"x": "y" * 70000}), 400, "records[0].metadata", "65,536"),
    ("upsert", '{"records":[{"id":1,"vector":[1,0,0],"metadata":{"a":1,"a":2}}]}', 400, "records[0].metadata", "twice"),
    ("upsert", '{"records":[{"id":1,"id":2,"vector":[1,0,0]}]}', 400, "records[0].id", "twice"),
    ("upsert", record(color="red"), 400, "records[0].color", "not a key"),
    ("upsert", record(event_id="x" * 257), 400, "records[0].event_id", "256"),
    ("upsert", record(model_version=7), 400, "records[0].model_version", "string"),
    ("upsert", record(timestamp="yesterday"), 400, "records[0].timestamp", "RFC 3339"),
    ("upsert", record(timestamp=1.5), 400, "records[0].timestamp", "milliseconds"),
    ("upsert", {"records": [{"id": 1, "text": "x"}]}, 400, "records[0].text", "embedder"),
    ("upsert", {"records": []}, 400, "records", "10000"),
    ("upsert", {"records": [{"id": i, "vector": V} for i in range(10001)]}, 400, "records", "10000"),
    ("upsert", {"records": {}}, 400, "records", "array"),
    ("upsert", {}, 400, "records", "missing"),
    ("upsert", {**record(), "ack": "never"}, 400, "ack", "durable|searchable"),
    ("upsert", {**record(), "akc": "durable"}, 400, "akc", "not known"),
    ("upsert", "", 400, "body", "empty"),
    ("upsert", "{", 400, "body", "JSON"),
    ("upsert", "[]", 400, "body", "object"),
    ("upsert", '{"records":[{"id":1,"vector":[1,0,0],"metadata":' + '{"a":' * 100 + "1" + "}" * 100 + "}]}", 400, "body", "deep"),
    ("upsert", "[" * 100000 + "]" * 100000, 400, "body", ""),
    ("search", {"vector": [1, 0]}, 400, "vector", "dimension is 3"),
    ("search", {"vector": [0, 0, 0]}, 400, "vector", "cosine"),
    ("search", '{"vector":[1e39,0,0]}', 400, "vector[0]", "3.4028235e38"),
    ("search", {"vector": V, "k": 0}, 400, "k", "16384"),
    ("search", {"vector": V, "k": -1}, 400, "k", "16384"),
    ("search", {"vector": V, "k": 10**9}, 400, "k", "16384"),
    ("search", {"vector": V, "k": 2**63 - 1}, 400, "k", "16384"),
    ("search", {"vector": V, "k": "10"}, 400, "k", "integer"),
    ("search", {"vector": V, "k": 1.5}, 400, "k", "integer"),
    ("search", {"vector": V, "ef": 32769}, 400, "ef", "32768"),
    ("search", {"vector": V, "offset": 16380, "k": 10}, 400, "k", "16384"),
    ("search", {"vectors": [V] * 1025}, 400, "vectors", "1024"),
    ("search", {"vectors": [V] * 1024, "k": 16384}, 400, "k", "262144"),
    ("search", {"vectors": [V, [1]]}, 400, "vectors[1]", "3"),
    ("search", {"vector": V, "vectors": [V]}, 400, "vectors", "one of"),
    ("search", {"vector": V, "text": "x"}, 400, "text", "one of"),
    ("search", {"text": "x"}, 400, "text", "embedder"),
    ("search", {}, 400, "vector", "missing"),
    ("search", {"vector": V, "filter": "color =="}, 400, "filter", ""),
    ("search", {"vector": V, "filter": "("}, 400, "filter", ""),
    ("search", {"vector": V, "filter": "a == 1 " + "and a == 1 " * 7000}, 400, "filter", "65536"),
    ("search", {"vector": V, "filter": "(" * 70 + "a == 1" + ")" * 70}, 413, "filter", "64"),
    ("search", {"vector": V, "output": "all"}, 400, "output", "array"),
    ("search", {"vector": V, "min_offset": -1}, 400, "min_offset", "between"),
    ("search", {"vector": V, "min_offset": {"9": 1}}, 400, "min_offset", "partition"),
    ("search", {"vector": V, "timeout_ms": -5}, 400, "timeout_ms", "600000"),
    ("search", {"vector": V, "unknown": 1}, 400, "unknown", "not known"),
    ("get", {"ids": []}, 400, "ids", "10000"),
    ("get", {"ids": list(range(10001))}, 400, "ids", "10000"),
    ("get", {"ids": [None]}, 400, "ids[0]", "string"),
    ("get", {}, 400, "ids", "missing"),
    ("delete", {}, 400, "ids", "one of"),
    ("delete", {"ids": [1], "filter": "id == 1"}, 400, "filter", "one of"),
    ("delete", {"filter": ""}, 400, "filter", "every entity"),
    ("delete", {"filter": "id = 1"}, 400, "filter", ""),
    ("count", {"filter": "nope nope"}, 400, "filter", ""),
    ("scroll", {"limit": 10001}, 400, "limit", "10000"),
    ("scroll", {"cursor": "!"}, 400, "cursor", ""),
]


@pytest.fixture(scope="module")
def kept(server):
    server.create("kept", 3, "cosine")
    server.upsert("kept", [{"id": "only", "vector": V}])
    return server


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_row(kept, row):
    verb, body, status, field, part = ROWS[row]
    reply = kept.request("POST", f"/v1/collections/kept/{verb}", body)
    assert reply.status == status, reply.body[:300]
    error = reply.error
    assert set(error) == {"code", "message", "field"} and error["code"] and error["message"]
    assert error["field"] == field, error
    assert part in error["message"], error
    assert kept.count("kept") == 1


NAMES = {"..": "..", ".": "..", "a/b": "letters", "": "249", "x" * 250: "249", "__internal": "__", "sp ace": "letters", "caf\u00e9": "letters",
         "a\0b": "letters", "CON:": "letters", "../../etc/passwd": "letters"}


@pytest.mark.parametrize("name", list(NAMES))
def test_names(server, name):
    reply = server.post("/v1/collections", {"name": name, "dimension": 3})
    assert reply.status == 400 and reply.error["field"] == "name" and NAMES[name] in reply.error["message"], reply.body


@pytest.mark.parametrize("path", ["..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "a%00b", "%zz", "%", "__x", "%c0%ae", "x" * 300])
def test_paths(server, path):
    reply = server.get(f"/v1/collections/{path}")
    assert reply.status == 400 and reply.error["field"] == "collection", reply.body


def test_unknown_collection(server):
    for verb in ("upsert", "search", "get", "count", "scroll", "delete"):
        reply = server.post(f"/v1/collections/nosuch/{verb}", {"records": []})
        assert reply.status == 404 and reply.error["field"] == "collection", (verb, reply.body)


@pytest.mark.parametrize("more, field, part", [
    ({"dimension": 0}, "dimension", "262144"), ({"dimension": 32769}, "dimension", "32768"), ({"dimension": 2**40}, "dimension", "262144"),
    ({"metric": "manhattan"}, "metric", "l2|ip|cosine"), ({"partitions": 65}, "partitions", "64"), ({"m": 1}, "m", "32"), ({"m": 33}, "m", "32"),
    ({"ef_construction": 10**6}, "ef_construction", "4096"), ({"codes": "pq"}, "codes", "sq8|none"),
    ({"embedder": {"type": "none"}}, "embedder.type", "hash"), ({"embedder": "hash"}, "embedder", "object"),
])
def test_creation(server, more, field, part):
    reply = server.post("/v1/collections", {"name": "never", "dimension": 3, **more})
    assert reply.status == 400 and reply.error["field"] == field and part in reply.error["message"], reply.body
    assert server.get("/v1/collections/never").status == 404


def test_all_or_nothing(server):
    server.create("whole", 3)
    assert server.post("/v1/collections/whole/upsert", {"records": [{"id": i, "vector": V if i < 99 else [1]} for i in range(100)]}).status == 400
    assert server.count("whole") == 0


def test_body_of_100_mb(server):
    """The client sees the answer although it was still sending."""
    body = b'{"records":[' + b" " * (100 << 20) + b"]}"
    reply = server.request("POST", "/v1/collections/kept/upsert", body)
    assert reply.status == 413 and reply.error["field"] == "body" and "67108864" in reply.error["message"]
    assert server.get("/livez").status == 200


def test_answer_over_the_limit(server):
    server.create("wide", 1024)
    for start in range(0, 2000, 500):
        server.upsert("wide", [{"id": start + i, "vector": [(start + i) / 7 + j / 3 for j in range(1024)]} for i in range(500)])
    reply = server.post("/v1/collections/wide/search", {"vector": [1] * 1024, "k": 2000, "with_vector": True})
    assert reply.status == 413 and "16777216" in reply.error["message"]
    page = server.ok("POST", "/v1/collections/wide/scroll", {"limit": 2000, "with_vector": True})
    assert 0 < len(page["records"]) < 2000 and page["cursor"]
    server.ok("DELETE", "/v1/collections/wide")


def test_unusual_but_good(server):
    """What is odd and right is taken."""
    server.create("odd", 3)
    server.upsert("odd", [{"id": -0, "vector": [1e-45, -0.0, 1e18]}, {"id": "x" * 512, "vector": [1, 2, 3], "metadata": {"": None, "a.b": {"c": []}}}])
    text = '{"records":[{"id":"\\ud83c\\udf4a","vector":[1.0e0,2E0,3],"metadata":{"s":"\\u0000\\n"}}]}'
    assert server.request("POST", "/v1/collections/odd/upsert", text).status == 200
    record = server.ok("POST", "/v1/collections/odd/get", {"ids": ["\U0001f34a"]})["records"][0]
    assert record["metadata"] == {"s": "\0\n"}
    depth = {}
    for _ in range(60):
        depth = {"d": depth}
    server.upsert("odd", [{"id": 5, "vector": [1, 2, 3], "metadata": depth}])
    assert json.loads(server.post("/v1/collections/odd/get", {"ids": [5]}).body)["records"][0]["metadata"] == depth
