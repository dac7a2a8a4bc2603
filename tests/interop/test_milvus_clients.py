"""The Milvus door under pymilvus, both generations, each in an environment of its own; and REST as curl and Node's client send it."""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import VENVS, python_with

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = {"milvus3": ("pymilvus==3.0.2", "numpy"), "milvus26": ("pymilvus==2.6.17", "setuptools<81", "numpy")}


@pytest.mark.parametrize("client", CLIENTS)
def test_definitions(server, client):
    python = python_with(client, *CLIENTS[client])
    done = subprocess.run([python, os.path.join(HERE, "milvus_definitions.py"), server.uri], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("client", CLIENTS)
def test_orm_and_async(server, client):
    python = python_with(client, *CLIENTS[client])
    done = subprocess.run([python, os.path.join(HERE, "milvus_styles.py"), server.uri], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout[-3000:] + done.stderr[-3000:]


def post(server, path, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.uri}/v2/vectordb/{path}", data=data, headers={"Content-Type": "text/plain;charset=UTF-8", **headers})
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 200
        return json.load(reply)


def test_rest_definitions(server):
    assert post(server, "collections/list", {}) == {"code": 0, "data": []}
    assert post(server, "collections/create", {"collectionName": "a", "dimension": 4, "metricType": "L2"})["code"] == 0
    assert post(server, "collections/has", {"collectionName": "a"})["data"] == {"has": True}
    shape = post(server, "collections/describe", {"collectionName": "a"})["data"]
    assert [f["name"] for f in shape["fields"]] == ["id", "vector"] and shape["load"] == "LoadStateLoaded"
    assert shape["indexes"] == [{"indexName": "vector", "fieldName": "vector", "metricType": "L2"}]
    assert post(server, "collections/describe", {"collectionName": "none"})["code"] == 100
    assert post(server, "collections/describe", {})["code"] == 1802
    assert post(server, "collections/describe", b"{nonsense")["code"] == 1801
    assert post(server, "collections/describe", b"")["code"] == 1801
    assert post(server, "collections/list", {"dbName": "none"})["code"] == 800
    assert post(server, "partitions/create", {"collectionName": "a", "partitionName": "p"})["code"] == 0
    assert post(server, "partitions/list", {"collectionName": "a"})["data"] == ["_default", "p"]
    assert post(server, "aliases/create", {"collectionName": "a", "aliasName": "b"})["code"] == 0
    assert post(server, "aliases/describe", {"aliasName": "b"})["data"] == {"dbName": "default", "collectionName": "a", "aliasName": "b"}
    assert post(server, "aliases/drop", {"aliasName": "b"})["code"] == 0
    assert post(server, "collections/drop", {"collectionName": "a"}) == {"code": 0, "data": {}}


def test_node(server):
    folder = os.path.join(VENVS, "node")
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    if not os.path.isdir(os.path.join(folder, "node_modules/@zilliz/milvus2-sdk-node")):
        os.makedirs(folder, exist_ok=True)
        made = subprocess.run(["npm", "install", "--no-save", "--prefix", folder, "@zilliz/milvus2-sdk-node@3.0.6"], capture_output=True, text=True, timeout=600)
        if made.returncode != 0:
            pytest.skip(f"cannot install @zilliz/milvus2-sdk-node: {made.stderr.strip()[-200:]}")
    done = subprocess.run(["node", os.path.join(HERE, "milvus_node.js"), str(server.port)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": os.path.join(folder, "node_modules")})
    assert done.returncode == 0, done.stdout + done.stderr


def test_rest_entities(server):
    assert post(server, "collections/create", {"collectionName": "a", "schema": {"enableDynamicField": False, "fields": [
        {"fieldName": "k", "dataType": "VarChar", "isPrimary": True, "elementTypeParams": {"max_length": 20}},
        {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
        {"fieldName": "n", "dataType": "Int64", "nullable": True},
        {"fieldName": "j", "dataType": "JSON", "nullable": True}]}, "indexParams": [{"fieldName": "v", "metricType": "IP"}]})["code"] == 0
    rows = [{"k": "x", "v": [1, 0], "n": 1, "j": {"deep": [1, 2]}}, {"k": "y", "v": [0, 1]}]
    assert post(server, "entities/insert", {"collectionName": "a", "data": rows})["data"] == {"insertCount": 2, "insertIds": ["x", "y"]}
    assert post(server, "entities/insert", {"collectionName": "a", "data": [{"k": "z", "v": [1]}]})["code"] == 1804
    assert post(server, "entities/insert", {"collectionName": "a", "data": [{"k": "z", "v": [1, 2], "extra": 1}]})["code"] == 1804
    found = post(server, "entities/query", {"collectionName": "a", "filter": "k in ['x', 'y']", "outputFields": ["n", "j"]})["data"]
    assert [(row["k"], row["n"]) for row in found] == [("x", "1"), ("y", None)]
    assert json.loads(found[0]["j"]) == {"deep": [1, 2]} and found[1]["j"] is None
    numbers = {"Accept-Type-Allow-Int64": "true"}
    assert post(server, "entities/get", {"collectionName": "a", "id": "x", "outputFields": ["n"]}, **numbers)["data"] == [{"k": "x", "n": 1}]
    hits = post(server, "entities/search", {"collectionName": "a", "data": [[1, 0], [0, 1]], "limit": 1, "outputFields": ["n"]})
    assert [hit["k"] for hit in hits["data"]] == ["x", "y"] and hits["topks"] == [1, 1]
    assert post(server, "entities/search", {"collectionName": "a", "data": [[1, 0]], "annsField": "n"})["code"] == 1100
    assert post(server, "entities/query", {"collectionName": "a", "filter": "n in {l}", "exprParams": {"l": [1]}, "outputFields": ["k"]})["data"] == [{"k": "x"}]
    assert post(server, "entities/upsert", {"collectionName": "a", "data": {"k": "x", "v": [5, 5]}})["data"]["upsertCount"] == 1
    assert post(server, "entities/delete", {"collectionName": "a", "filter": "k == 'y'"})["data"] == {"deleteCount": 1}
    assert post(server, "collections/get_stats", {"collectionName": "a"})["data"] == {"rowCount": 1}


def test_entities_expire(server):
    for bad in ("-2", "soon", "99999999999"):
        assert post(server, "collections/create", {"collectionName": "x", "dimension": 2, "params": {"ttlSeconds": bad}})["code"] == 1100
    assert post(server, "collections/create", {"collectionName": "short", "dimension": 2, "params": {"ttlSeconds": 1}})["code"] == 0
    assert post(server, "collections/create", {"collectionName": "long", "dimension": 2})["code"] == 0
    rows = [{"id": 1, "vector": [1, 0], "a": 1}, {"id": 2, "vector": [0, 1], "a": 2}]
    def seen(name):
        found = post(server, "entities/search", {"collectionName": name, "data": [[1, 0]], "limit": 5, "filter": "a > 0 or a < 0"})["data"]
        rows = post(server, "entities/query", {"collectionName": name, "filter": "", "limit": 9, "outputFields": ["*"]})["data"]
        assert all("$t" not in row for row in rows), rows
        return len(found), len(rows), len(post(server, "entities/get", {"collectionName": name, "id": [1, 2]})["data"])

    def stored(name):
        request = urllib.request.Request(f"{server.uri}/v1/collections/{name}/count", data=b"{}")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["count"]

    assert post(server, "entities/insert", {"collectionName": "long", "data": rows})["data"]["insertCount"] == 2
    for _ in range(10):  # a busy machine may need more than the second
        begun = time.monotonic()
        assert post(server, "entities/upsert", {"collectionName": "short", "data": rows})["data"]["upsertCount"] == 2
        found = seen("short")
        if time.monotonic() - begun < 1:
            break
    assert found == seen("long") == (2, 2, 2)
    assert post(server, "collections/alter_properties", {"collectionName": "long", "properties": {"collection.ttl.seconds": "1"}})["code"] == 0
    assert post(server, "entities/upsert", {"collectionName": "long", "data": rows[:1]})["code"] == 0  # written under the property: it goes
    until = time.monotonic() + 60
    while seen("short") != (0, 0, 0) or seen("long") != (1, 1, 1):
        assert time.monotonic() < until
        time.sleep(0.1)
    while stored("short") or stored("long") != 1:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert post(server, "collections/alter_properties", {"collectionName": "short", "properties": {"collection.ttl.seconds": "2"}})["code"] == 0
    assert post(server, "entities/insert", {"collectionName": "short", "data": rows[:1]})["code"] == 0
    assert post(server, "collections/drop_properties", {"collectionName": "short", "propertyKeys": ["collection.ttl.seconds"]})["code"] == 0
    time.sleep(3.2)
    assert seen("short") == (1, 1, 1)


def test_users_are_asked_for():
    import urllib.error
    from conftest import Server
    os.environ["FRESHET_ROOT_PASSWORD"] = "Milvus-secret"
    try:
        one = Server(["--auth"]).start()
    finally:
        del os.environ["FRESHET_ROOT_PASSWORD"]
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(one, "collections/list", {})
        assert refused.value.code == 401 and json.load(refused.value)["code"] == 1800
        assert post(one, "collections/list", {}, Authorization="Bearer root:Milvus-secret") == {"code": 0, "data": []}
        wire = Wire(one.port)
        path = b"/milvus.proto.milvus.MilvusService/ShowCollections"
        wire.sock.sendall(frame(1, 4, 1, headers(path)) + frame(0, 1, 1, b"\0\0\0\0\0"))
        assert b"16" in wire.until(1, 1)[3] or b"\x0216" in wire.until(1, 1)[3]
        root = {"Authorization": "Bearer root:Milvus-secret"}
        number = {}
        for name in ("mine", "yours"):
            assert post(one, "collections/create", {"collectionName": name, "dimension": 4}, **root)["code"] == 0
            number[name] = int(post(one, "collections/describe", {"collectionName": name}, **root)["data"]["collectionID"])
        for path, body in (("users/create", {"userName": "ann", "password": "Ann-secret"}), ("roles/create", {"roleName": "reader"}),
                           ("roles/grant_privilege", {"roleName": "reader", "objectType": "Collection", "objectName": "mine", "privilege": "Query"}),
                           ("users/grant_role", {"userName": "ann", "roleName": "reader"})):
            assert post(one, path, body, **root)["code"] == 0, path
        ann = (b"authorization", base64.b64encode(b"ann:Ann-secret"))
        for stream, name, status in ((3, "mine", None), (5, "yours", b"7")):  # a collection by its number alone
            block = headers(b"/milvus.proto.milvus.MilvusService/DescribeCollection", b"POST", b"application/grpc", ann)
            body = bytes([4 << 3, number[name]])
            wire.sock.sendall(frame(1, 4, stream, block) + frame(0, 1, stream, struct.pack(">BI", 0, len(body)) + body))
            reply = wire.until(1, stream)
            assert (b"grpc-status" not in reply[3] and name.encode() in wire.until(0, stream)[3]) if status is None else b"\x017" in reply[3], reply
    finally:
        assert one.stop() == 0


# ---- HTTP/2 by hand: what no client does ----

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + struct.pack("B", len(value)) + value


def headers(path=b"/milvus.proto.milvus.MilvusService/GetVersion", method=b"POST", kind=b"application/grpc", *more):
    block = literal(b":method", method) + literal(b":scheme", b"http") + literal(b":path", path) + literal(b":authority", b"x")
    return block + literal(b"content-type", kind) + literal(b"te", b"trailers") + b"".join(literal(n, v) for n, v in more)


class Wire:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.sendall(PREFACE + frame(4, 0, 0))
        self.buffer = b""

    def read(self):
        """The next frame: kind, flags, stream, payload; None at the end."""
        while True:
            if len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + size:
                    one = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big"), self.buffer[9:9 + size]
                    self.buffer = self.buffer[9 + size:]
                    return one
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self.buffer += more

    def until(self, kind, stream=None):
        while (one := self.read()) is not None:
            if one[0] == kind and (stream is None or one[2] == stream):
                return one
        return None


def test_ping_is_answered_and_preface_in_pieces(server):
    wire = Wire(server.port)
    wire.sock.sendall(frame(6, 0, 0, b"12345678"))
    while (one := wire.until(6)) and not one[1] & 1:
        pass
    assert one[3] == b"12345678"
    slow = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    for byte in PREFACE:
        slow.sendall(bytes([byte]))
    slow.sendall(frame(4, 0, 0))
    assert slow.recv(9)[3] == 4


def test_flood_of_pings_is_ended(server):
    wire = Wire(server.port)

    def send():
        try:
            for _ in range(200):
                wire.sock.sendall(frame(6, 0, 0, b"abcdefgh") * 100)
        except OSError:
            pass

    sender = threading.Thread(target=send)
    sender.start()
    goaway = wire.until(7)
    sender.join()
    assert goaway is not None and int.from_bytes(goaway[3][4:8], "big") == 11  # ENHANCE_YOUR_CALM
    assert server.ready() == 200


def test_what_is_not_grpc(server):
    wire = Wire(server.port)
    wire.sock.sendall(frame(1, 5, 1, headers(method=b"GET")) + frame(1, 5, 3, headers(kind=b"text/html")))
    assert b"405" in wire.until(1, 1)[3] and b"415" in wire.until(1, 3)[3]
    wire.sock.sendall(frame(1, 4, 5, headers()) + frame(0, 1, 5, b"\1\0\0\0\0"))  # compressed
    assert wire.until(1, 5)[1] & 1
    wire.sock.sendall(frame(1, 4, 7, headers()) + frame(0, 1, 7, b"\0\0\0\0\x09"))  # shorter than it says
    assert wire.until(1, 7)[1] & 1
    wire.sock.sendall(frame(1, 4, 9, headers()) + frame(0, 1, 9, b"\0\0\0\0\0"))
    assert wire.until(0, 9)[3][:1] == b"\0"


def samples(server, name):
    """{labels: value} of one metric."""
    with urllib.request.urlopen(server.uri + "/metrics", timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    return {tuple(re.findall(r'="([^"]*)"', line)): float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{")}


def test_calls_are_counted_by_name(server):
    service = b"/milvus.proto.milvus.MilvusService/"
    wire = Wire(server.port)
    empty = b"\0\0\0\0\0"
    for stream, path in ((1, b"GetVersion"), (3, b"GetVersion"), (5, b"DescribeCollection"), (7, b"Nonsense")):
        wire.sock.sendall(frame(1, 4, stream, headers(service + path)) + frame(0, 1, stream, empty))
        assert wire.until(1 if path == b"Nonsense" else 0, stream) is not None
    post(server, "collections/list", {})
    post(server, "collections/describe", {"collectionName": "none"})
    with pytest.raises(urllib.error.HTTPError):
        post(server, "collections/nonsense/of/a/client", {})
    counts = samples(server, "freshet_requests_total")
    for labels, value in {("grpc", "GetVersion", "0"): 2, ("grpc", "DescribeCollection", "1100"): 1, ("grpc", "other", "UNIMPLEMENTED"): 1,
                          ("rest", "collections/list", "0"): 1, ("rest", "collections/describe", "100"): 1, ("rest", "other", "65535"): 1}.items():
        assert counts.get(labels) == value, (labels, counts)
    took = samples(server, "freshet_request_duration_seconds_count")
    assert took["grpc", "GetVersion"] == 2 and took["rest", "collections/list"] == 1
    assert samples(server, "freshet_requests_in_flight")["grpc",] == 0
    sent = samples(server, "freshet_request_bytes_total")
    assert sent["grpc", "in"] == 4 * len(empty) and sent["grpc", "out"] > 2 * len(empty) and sent["rest", "out"] > 0


def test_gone_clients_leave_nothing(server):
    for kind in range(60):
        wire = Wire(server.port)
        stream = frame(1, 4, 1, headers(b"/milvus.proto.milvus.MilvusService/ShowCollections")) + frame(0, 1, 1, b"\0\0\0\0\0")
        wire.sock.sendall(stream + (frame(3, 0, 1, b"\0\0\0\x08") if kind % 2 else b""))
        if kind % 3:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.sock.close()
    assert server.ready() == 200


def test_eight_clients_under_tsan():
    """The gRPC loop, the pools and the engine with many clients at once, in the build that ThreadSanitizer watches."""
    from conftest import ROOT, Server
    binary = os.path.join(ROOT, "build/tsan/freshet")
    if not os.path.exists(binary):
        pytest.skip("build/tsan/freshet is not built")
    python = python_with("milvus3", *CLIENTS["milvus3"])
    one = Server(binary=binary, environment={"TSAN_OPTIONS": "halt_on_error=1"}).start()
    try:
        done = subprocess.run([python, os.path.join(HERE, "milvus_threads.py"), one.uri, "8"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout[-3000:] + done.stderr[-3000:]
    finally:
        code = one.stop()
    assert code == 0, open(one.notes.name, encoding="utf-8", errors="replace").read()[-4000:]
