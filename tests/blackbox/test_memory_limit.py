"""--memory-limit: above it every door refuses writes with the reason, searches and deletes go on, and writes go on when memory is free again."""
import json
import struct
import time

import pytest

from test_sasl import Kafka, array, block, crc32c, text, varint

D = 256
NOT_LEADER = 6  # of Kafka's errors the one that each client tries again, idempotent producers too
MEMORY_LIMIT = 3  # Milvus: memory limit exceeded


def vector(number):
    return [float(number)] + [((number * 31 + i * 7) % 1000) / 8 for i in range(1, D)]


@pytest.fixture
def limited(fresh):
    """A server whose memory is used up by `big`; `small` holds row 1."""
    server = fresh(["--memory-limit", "24m", "--kafka-listen", "127.0.0.1:0"]).start()
    word, address = server.process.stdout.readline().decode().split()
    assert word == "kafka"
    server.kafka = Kafka(int(address.rsplit(":", 1)[1]))
    for name in ("small", "big"):
        server.create(name, dimension=D, id_type="int64")
    server.upsert("small", [{"id": 1, "vector": vector(1), "metadata": {"n": 1}}])
    for at in range(0, 100000, 250):
        reply = server.post("/v1/collections/big/upsert", {"records": [{"id": i, "vector": vector(i)} for i in range(at, at + 250)]})
        if reply.status != 200:
            break
        server.filled = at + 250
    server.refusal = reply
    return server


def refused_by_kafka(server):
    """Produce 3 to `small`: the error code."""
    value = json.dumps({"vector": vector(2)}).encode()
    record = b"\0\0\0" + varint(1) + b"2" + varint(len(value)) + value + b"\0"
    body = struct.pack(">hiqqqhii", 0, 0, 1, 1, -1, -1, -1, 1) + varint(len(record)) + record
    batch = struct.pack(">qiibI", 0, len(body) + 9, 0, 2, crc32c(body)) + body
    sent = server.kafka.call(0, 3, text(None) + struct.pack(">hi", -1, 9000) + array(text("small") + array(struct.pack(">i", 0) + block(batch))))
    return struct.unpack_from(">h", sent, 4 + len(text("small")) + 8)[0]


def used(server):
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("freshet_memory_bytes{") and "allocated" not in line)


def test_writes_are_refused_searches_and_deletes_go_on_and_it_resumes(limited):
    server = limited
    assert server.refusal.status == 503 and server.refusal.error["code"] == "no_memory"
    assert "memory_limit" in server.refusal.error["message"] and "deletes go on" in server.refusal.error["message"]
    assert int(server.refusal.headers["Retry-After"]) >= 1
    assert server.filled >= 250 and server.count("big") == server.filled  # nothing of the refused request is there
    assert used(server) > 24 << 20

    milvus = server.request("POST", "/v2/vectordb/entities/insert", {"collectionName": "small", "data": [{"id": 2, "vector": vector(2)}]}).json()
    assert milvus["code"] == MEMORY_LIMIT and "memory_limit" in milvus["message"], milvus
    assert refused_by_kafka(server) == NOT_LEADER

    assert server.search("big", vector=vector(7), k=1)[0]["id"] == 7
    assert server.ok("POST", "/v1/collections/small/get", {"ids": [1]})["records"][0]["metadata"] == {"n": 1}
    assert server.ok("POST", "/v1/collections/big/delete", {"ids": [7]})["deleted"] == 1
    assert server.ok("POST", "/v1/collections/big/delete", {"filter": "n == 5"})["deleted"] == 0
    assert server.search("big", vector=vector(7), k=1)[0]["id"] != 7
    assert server.get("/readyz").status == 200

    server.ok("DELETE", "/v1/collections/big")
    until = time.monotonic() + 30
    while (reply := server.post("/v1/collections/small/upsert", {"records": [{"id": 3, "vector": vector(3)}]})).status != 200:
        assert reply.status == 503 and time.monotonic() < until, (reply.body, used(server))
        time.sleep(0.1)
    assert refused_by_kafka(server) == 0
    assert server.count("small") == 3


def test_a_restart_above_the_limit_opens_and_answers(limited):
    """What is on disk is loaded, whatever the limit: a limit never makes data unreachable."""
    server = limited
    count = server.count("big")
    assert server.stop() == 0
    server.arguments = ["--memory-limit", "2m"]
    server.start()
    assert server.count("big") == count and server.search("big", vector=vector(9), k=1)[0]["id"] == 9
    assert server.post("/v1/collections/big/upsert", {"records": [{"id": 9, "vector": vector(9)}]}).status == 503
