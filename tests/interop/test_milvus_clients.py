"""The Milvus door under pymilvus, both generations, each in an environment of its own; and REST as curl and Node's client send it."""
import json
import os
import socket
import struct
import subprocess
import threading
import urllib.request

import pytest

from conftest import python_with

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = {"milvus3": ("pymilvus==3.0.2", "numpy"), "milvus26": ("pymilvus==2.6.17", "setuptools<81", "numpy")}


@pytest.mark.parametrize("client", CLIENTS)
def test_definitions(server, client):
    python = python_with(client, *CLIENTS[client])
    done = subprocess.run([python, os.path.join(HERE, "milvus_definitions.py"), server.uri], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


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


def test_gone_clients_leave_nothing(server):
    for kind in range(60):
        wire = Wire(server.port)
        stream = frame(1, 4, 1, headers(b"/milvus.proto.milvus.MilvusService/ShowCollections")) + frame(0, 1, 1, b"\0\0\0\0\0")
        wire.sock.sendall(stream + (frame(3, 0, 1, b"\0\0\0\x08") if kind % 2 else b""))
        if kind % 3:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.sock.close()
    assert server.ready() == 200
