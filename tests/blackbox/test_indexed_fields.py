"""Fields with a column: declared at creation or noticed; what explain says; that a declaration outlives a restart."""
import random
import time

WIDE, ROWS = 256, 3000


def fill(server, name):
    pick = random.Random(5)
    for first in range(0, ROWS, 500):
        server.upsert(name, [{"id": i, "vector": [pick.random() for _ in range(WIDE)], "metadata": {"color": i % 10, "size": i / ROWS}}
                             for i in range(first, first + 500)])


def explain(server, name, filter_text):
    answer = server.ok("POST", f"/v1/collections/{name}/search",
                       {"vector": [0.5] * WIDE, "k": 10, "ef": 20, "filter": filter_text, "explain": True, "output": ["*"]})
    assert len(answer["hits"]) == 10
    return answer["explain"]


def until_columns(server, name, filter_text, columns):
    until = time.monotonic() + 30
    while True:
        found = explain(server, name, filter_text)
        if found["filter_columns"] == columns:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.02)


def test_declared_fields_are_counted_also_after_a_restart(server):
    made = server.create("shop", WIDE, indexed=["color"])
    assert made["indexed"] == ["color"]
    fill(server, "shop")
    found = until_columns(server, "shop", "color == 3", 1)
    assert found["filter_matches"] == ROWS // 10 and found["filter_matches_exact"] and found["filter_checked"] == 0
    assert found["plan"] in ("filtered scan", "filtered graph")
    server.stop()
    server.start()
    assert server.ok("GET", "/v1/collections/shop")["indexed"] == ["color"]
    assert until_columns(server, "shop", "color == 3", 1)["filter_matches"] == ROWS // 10


def test_a_field_that_filters_keep_naming_gets_a_column(server):
    server.create("noticed", WIDE)
    fill(server, "noticed")
    assert explain(server, "noticed", "size < 0.2")["filter_columns"] == 0
    found = until_columns(server, "noticed", "size < 0.2", 1)
    assert abs(found["filter_matches"] - ROWS // 5) <= 20 and found["filter_checked"] < 100


def test_bad_declarations_are_refused(server):
    for indexed in (["a["], [""], [1], ["x" * 64], ["f%d" % i for i in range(17)]):
        reply = server.post("/v1/collections", {"name": "bad", "dimension": 3, "indexed": indexed})
        assert reply.status in (400, 413) and reply.error["field"].startswith("indexed"), (indexed, reply.body)
