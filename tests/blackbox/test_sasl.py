"""Kafka's listeners: logging in, what each API answers to who may not, limits, TLS. A client of a few lines, so that what is sent is known."""
import base64
import hashlib
import hmac
import http.client
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings

import pytest

from test_access import AS_ROOT, PASSWORD, ROOT, basic, root, user

SASL_FAILED, TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED, TXN_DENIED = 58, 29, 30, 31, 53


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def block(data):
    return struct.pack(">i", len(data)) + data


def array(*items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Kafka:
    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.number = 0

    def frame(self, data):
        self.socket.sendall(block(data))
        size = struct.unpack(">i", self.exactly(4))[0]
        return self.exactly(size)

    def exactly(self, size):
        out = b""
        while len(out) < size:
            part = self.socket.recv(size - len(out))
            if not part:
                raise EOFError
            out += part
        return out

    def call(self, key, version, body=b"", client="test"):
        self.number += 1
        reply = self.frame(struct.pack(">hhi", key, version, self.number) + text(client) + body)
        assert struct.unpack(">i", reply[:4])[0] == self.number
        return reply[4:]

    def handshake(self, mechanism, version=1):
        return struct.unpack(">h", self.call(17, version, text(mechanism))[:2])[0]

    def authenticate(self, data):
        reply = self.call(36, 0, block(data))
        code, size = struct.unpack(">hh", reply[:4])
        at = 4 + max(size, 0)
        return code, reply[at + 4:at + 4 + struct.unpack(">i", reply[at:at + 4])[0]]

    def plain(self, name, password):
        assert self.handshake("PLAIN") == 0
        return self.authenticate(b"\0" + name.encode() + b"\0" + password.encode())[0]

    def scram(self, name, password, kind="sha256", spoil=False):
        assert self.handshake({"sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}[kind]) == 0
        bare = f"n={name},r=fyko+d2lbbFgONRv9qkxdawL"
        code, first = self.authenticate(b"n,," + bare.encode())
        assert code == 0
        parts = dict(p.split("=", 1) for p in first.decode().split(","))
        assert parts["r"].startswith("fyko+d2lbbFgONRv9qkxdawL") and int(parts["i"]) >= 4096
        salted = hashlib.pbkdf2_hmac(kind, password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", kind)
        last = f"c=biws,r={parts['r']}"
        message = f"{bare},{first.decode()},{last}".encode()
        proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.new(kind, key).digest(), message, kind)))
        if spoil:
            proof = bytes([proof[0] ^ 1]) + proof[1:]
        code, final = self.authenticate(f"{last},p={base64.b64encode(proof).decode()}".encode())
        if code == 0:
            assert base64.b64decode(final[2:]) == hmac.digest(hmac.digest(salted, b"Server Key", kind), message, kind)
        return code

    def topics(self, *names, create=False):
        """Metadata 4: (throttle ms, {topic: error})"""
        wanted = struct.pack(">i", -1) if not names else array(*map(text, names))
        r = self.call(3, 4, wanted + bytes([create]))
        at, found = 4, {}
        def string():
            nonlocal at
            size = struct.unpack(">h", r[at:at + 2])[0]
            at += 2 + max(size, 0)
            return r[at - max(size, 0):at].decode()
        def number(form):
            nonlocal at
            value = struct.unpack_from(">" + form, r, at)[0]
            at += struct.calcsize(form)
            return value
        for _ in range(number("i")):
            number("i"), string(), number("i"), string()
        string(), number("i")
        for _ in range(number("i")):
            error, name = number("h"), string()
            number("b")
            for _ in range(number("i")):
                number("h"), number("i"), number("i")
                for _ in range(2):
                    for _ in range(number("i")):
                        number("i")
            found[name] = error
        return struct.unpack(">i", r[:4])[0], found


def ports_of(server):
    found = {}
    for _ in range(2):
        word, address = server.process.stdout.readline().decode().split()
        found[word] = int(address.rsplit(":", 1)[1])
    return found


def kafka_server(arguments=("--auth",), **more):
    from conftest import Freshet
    one = Freshet([*arguments, "--kafka-listen", "127.0.0.1:0", "--kafka-sasl-listen", "127.0.0.1:0"], environment={"FRESHET_ROOT_PASSWORD": ROOT}, **more)
    return one


@pytest.fixture(scope="module")
def server(binary):
    one = kafka_server().start()
    one.ports = ports_of(one)
    user(one, "boss", ("read write admin", "everything", None))
    user(one, "reader", ("read", "topic", "events"), ("read", "group", "g"))
    user(one, "writer", ("write", "topic", "events"))
    user(one, "stranger", ("read write admin", "topic", "other"))
    k = Kafka(one.ports["kafka"])
    assert k.plain("boss", PASSWORD) == 0
    assert k.topics("events", create=True)[1] == {"events": 0}
    yield one
    one.end()


@pytest.mark.parametrize("listener", ["kafka", "kafka-sasl"])
def test_every_mechanism(server, listener):
    port = server.ports[listener]
    for log_in in (lambda k, p: k.plain("reader", p), lambda k, p: k.scram("reader", p), lambda k, p: k.scram("reader", p, "sha512")):
        k = Kafka(port)
        assert log_in(k, PASSWORD) == 0 and k.topics("events")[1] == {"events": 0}
        k = Kafka(port)
        assert log_in(k, PASSWORD + "x") == SASL_FAILED
        with pytest.raises((EOFError, ConnectionError)):
            k.topics("events")
    assert Kafka(port).scram("reader", PASSWORD, spoil=True) == SASL_FAILED
    assert Kafka(port).scram("ghost", PASSWORD) == SASL_FAILED
    assert Kafka(port).plain("ghost", PASSWORD) == SASL_FAILED
    assert Kafka(port).handshake("GSSAPI") == 33


def test_an_api_key_is_a_password_of_plain(server):
    made = root(server, "POST", "/v1/keys", {"user": "reader"})
    k = Kafka(server.ports["kafka"])
    assert k.plain("reader", made["secret"]) == 0 and k.topics("events")[1] == {"events": 0}
    assert Kafka(server.ports["kafka"]).plain("boss", made["secret"]) == SASL_FAILED
    root(server, "DELETE", f"/v1/keys/{made['key']}")
    assert k.topics("events")[1] == {"events": TOPIC_DENIED}  # the connection stands, its rights are gone


def test_handshake_0_has_bare_frames(server):
    k = Kafka(server.ports["kafka"])
    assert k.handshake("PLAIN", 0) == 0 and k.frame(b"\0reader\0" + PASSWORD.encode()) == b""
    assert k.topics("events")[1] == {"events": 0}


def test_nothing_before_the_login(server):
    for key, version, body in ((3, 1, struct.pack(">i", -1)), (0, 3, text(None) + struct.pack(">hi", 1, 9) + array()), (36, 0, block(b"x"))):
        k = Kafka(server.ports["kafka"])
        assert struct.unpack(">h", k.call(18, 0)[:2])[0] == 0
        if key == 36:
            assert struct.unpack(">h", k.call(key, version, body)[:2])[0] == 34
            continue
        with pytest.raises((EOFError, ConnectionError)):
            k.call(key, version, body)
    k = Kafka(server.ports["kafka"])
    k.socket.sendall(struct.pack(">i", 1 << 20))  # a stranger's large frame is not waited for
    assert k.socket.recv(1) == b""


def errors_of(k):
    """What each API answers about the topic events, the group g, the transaction t and the server."""
    part = struct.pack(">iq", 0, -1)
    h = lambda data, at: struct.unpack_from(">h", data, at)[0]
    name = text("events")
    return {
        "metadata": k.topics("events")[1]["events"],
        "list offsets": h(k.call(2, 1, struct.pack(">i", -1) + array(name + array(part))), 4 + len(name) + 4 + 4),
        "produce": h(k.call(0, 3, text(None) + struct.pack(">hi", 1, 9) + array(name + array(struct.pack(">i", 0) + block(b"x")))), 4 + len(name) + 4 + 4),
        "create": h(k.call(19, 2, array(text("made") + struct.pack(">ih", 1, 1) + array() + array()) + struct.pack(">ib", 9, 1)), 4 + 4 + len(text("made"))),
        "partitions": h(k.call(37, 0, array(name + struct.pack(">i", 1) + struct.pack(">i", -1)) + struct.pack(">ib", 9, 1)), 4 + 4 + len(name)),
        "join": h(k.call(11, 0, text("g") + struct.pack(">i", 10000) + text("") + text("consumer") + array(text("range") + block(b""))), 0),
        "transaction": h(k.call(22, 0, text("t") + struct.pack(">i", 60000)), 4),
        "idempotent": h(k.call(22, 0, text(None) + struct.pack(">i", 60000)), 4),
        "server configs": h(k.call(32, 1, array(struct.pack(">b", 4) + text("1") + struct.pack(">i", -1)) + b"\0"), 8),
        "log directories": h(k.call(35, 3, b"\0\0\0"), 5),
        "reassignments": h(k.call(46, 0, b"\0" + struct.pack(">i", 9) + b"\0\0"), 5),
        "quotas": h(k.call(48, 0, array() + b"\0"), 4),
        "delete": h(k.call(20, 1, array(text("no-such")) + struct.pack(">i", 9)), 4 + 4 + len(text("no-such"))),
    }


def test_each_api_says_what_is_missing(server):
    def answers(name):
        k = Kafka(server.ports["kafka"])
        assert k.plain(name, PASSWORD) == 0
        return errors_of(k)
    denied = {"metadata": TOPIC_DENIED, "list offsets": TOPIC_DENIED, "produce": TOPIC_DENIED, "create": TOPIC_DENIED, "partitions": TOPIC_DENIED,
              "join": GROUP_DENIED, "transaction": TXN_DENIED, "idempotent": 0, "server configs": CLUSTER_DENIED, "delete": TOPIC_DENIED,
              "log directories": CLUSTER_DENIED, "reassignments": CLUSTER_DENIED, "quotas": CLUSTER_DENIED}
    assert answers("stranger") == denied
    assert answers("reader") == {**denied, "metadata": 0, "list offsets": 0, "join": 0}
    wrote = answers("writer")
    assert wrote.pop("produce") in (2, 42, 87)  # the record is no record: it was looked at
    assert wrote == {k: v for k, v in {**denied, "metadata": 0}.items() if k != "produce"}
    boss = answers("boss")
    assert not set(boss.values()) & {29, 30, 31, 53}, boss


def test_lists_show_what_may_be_read(server):
    k = Kafka(server.ports["kafka"])
    assert k.plain("reader", PASSWORD) == 0 and list(k.topics()[1]) == ["events"]
    k = Kafka(server.ports["kafka"])
    assert k.plain("stranger", PASSWORD) == 0 and k.topics()[1] == {}
    k = Kafka(server.ports["kafka"])
    assert k.plain("boss", PASSWORD) == 0 and "__audit" in k.topics()[1]


def test_a_limit_slows_down_and_says_so(server):
    user(server, "fast", ("read", "topic", "events"))
    root(server, "PUT", "/v1/limits/fast", {"requests": 4})
    root(server, "PUT", "/v1/limits/fast", {"client": "other", "requests": 1000})
    k = Kafka(server.ports["kafka"])
    assert k.plain("fast", PASSWORD) == 0
    began, told, asked = time.monotonic(), 0, 0
    while asked < 12 or told <= 500:
        told, asked = told + k.topics("events")[0], asked + 1
        assert asked < 300
    assert time.monotonic() - began > 1.0  # 12 requests at 4 a second, of which 4 are there at once


def slowed(call):
    """Two calls owe a second, less what they took themselves: on a busy machine more than two may be needed."""
    assert any([call() > 500 for _ in range(2)]) or any(call() > 500 for _ in range(20))


def test_bytes_slow_down_both_ways(server):
    user(server, "heavy", ("read write", "topic", "events"))
    k = Kafka(server.ports["kafka"])
    assert k.plain("heavy", PASSWORD) == 0
    send = lambda acks: text(None) + struct.pack(">hi", acks, 9000) + array(text("events") + array(struct.pack(">i", 0) + block(batch(b"x" * 5000))))
    root(server, "PUT", "/v1/limits/heavy", {"bytes_in": 5000})
    slowed(lambda: struct.unpack(">i", k.call(0, 3, send(-1))[-4:])[0])
    root(server, "PUT", "/v1/limits/heavy", {"bytes_out": 5000})
    fetch = struct.pack(">iiiib", -1, 1000, 1, 10 << 20, 0) + array(text("events") + array(struct.pack(">iqi", 0, 0, 10 << 20)))
    k = Kafka(server.ports["kafka"])
    assert k.plain("heavy", PASSWORD) == 0
    slowed(lambda: struct.unpack(">i", k.call(1, 4, fetch)[:4])[0])
    root(server, "PUT", "/v1/limits/heavy", {"requests": 1000})


def audit_text(server):
    return b"".join(open(os.path.join(folder, name), "rb").read() for folder, _, names in os.walk(os.path.join(server.data, "log")) for name in names
                    if name.endswith(".log"))


def test_refusals_and_acts_are_written_down(server):
    server.request("GET", "/v1/users", None, basic("reader", PASSWORD))
    server.request("GET", "/v1/users", None, basic("reader", "wrong-one"))
    k = Kafka(server.ports["kafka"])
    k.plain("stranger", PASSWORD)
    k.topics("events")
    k.call(42, 0, array(text("g")))  # DeleteGroups and DescribeGroups ask with the coordinator's lock held
    k.call(15, 0, array(text("g")))
    k = Kafka(server.ports["kafka"])
    k.plain("boss", PASSWORD)
    k.call(42, 0, array(text("g")))
    with pytest.raises((EOFError, ConnectionError)):
        Kafka(server.ports["kafka"]).call(3, 1, struct.pack(">i", -1))
    wanted = [b'"principal":"stranger","door":"kafka","action":"DeleteGroups","object":"g","verdict":"refused"',
              b'"principal":"stranger","door":"kafka","action":"DescribeGroups","object":"g","verdict":"refused"',
              b'"principal":"boss","door":"kafka","action":"DeleteGroups","object":"g","verdict":"allowed"',
              b'"principal":"","door":"kafka","action":"Metadata","object":"","verdict":"refused","reason":"nobody has logged in"',
              b'"principal":"reader","door":"http","action":"user_list","object":"","verdict":"refused"',
              b'"door":"http","action":"user_list","object":"","verdict":"refused","reason":"wrong user or password"',
              b'"principal":"root","door":"http","action":"user_put","object":"reader","verdict":"done"',
              b'"principal":"stranger","door":"kafka","action":"Metadata","object":"events","verdict":"refused"']
    until = time.monotonic() + 60
    while not all(line in audit_text(server) for line in wanted):
        assert time.monotonic() < until, [line for line in wanted if line not in audit_text(server)]
        time.sleep(0.05)


def test_a_flood_of_refusals_is_counted_not_written(server):
    for _ in range(300):
        server.request("GET", "/v1/users", None, basic("writer", PASSWORD))
    metrics = server.request("GET", "/metrics", None, AS_ROOT).body.decode()
    dropped = next(line for line in metrics.splitlines() if line.startswith('freshet_audit_records_total{state="dropped"}'))
    assert int(dropped.split()[-1]) > 100


def test_without_auth_only_the_second_listener_asks(binary):
    one = kafka_server(()).start()
    try:
        ports = ports_of(one)
        one.ok("PUT", "/v1/users/alice", {"password": "secret"})
        assert Kafka(ports["kafka"]).topics()[1] == {"__audit": 0}
        with pytest.raises((EOFError, ConnectionError)):
            Kafka(ports["kafka-sasl"]).topics()
        k = Kafka(ports["kafka-sasl"])
        assert k.scram("alice", "secret") == 0 and k.topics("x", create=True)[1] == {"x": TOPIC_DENIED}
    finally:
        one.end()


# ---- TLS ----

def certificate(folder, name, issuer=None):
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    base = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", f"/CN={name}"]
    if issuer is None:
        subprocess.run([*base, "-x509", "-days", "2", "-out", cert, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    else:
        subprocess.run([*base, "-out", cert + ".csr"], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", cert + ".csr", "-CA", issuer[1], "-CAkey", issuer[0], "-CAcreateserial", "-days", "2", "-out", cert],
                       check=True, capture_output=True)
    return key, cert


def context(cert, client=None, versions=None):
    made = ssl.create_default_context(cafile=cert)
    if client:
        made.load_cert_chain(client[1], client[0])
    if versions:
        made.minimum_version = made.maximum_version = versions
    return made


class Secure:
    """A server with TLS; requests through ssl."""

    def __init__(self, folder, *arguments):
        from conftest import BINARY
        self.folder = str(folder)
        self.key, self.cert = certificate(self.folder, "server")
        self.notes = open(os.path.join(self.folder, "notes"), "wb")
        self.process = subprocess.Popen([BINARY, "serve", "--data", os.path.join(self.folder, "data"), "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0",
                                         "--auth", "--tls-cert", self.cert, "--tls-key", self.key, *arguments], stdout=subprocess.PIPE, stderr=self.notes,
                                        env={**os.environ, "FRESHET_ROOT_PASSWORD": ROOT})
        self.port = int(self.process.stdout.readline().decode().rsplit(":", 1)[1])
        self.kafka = int(self.process.stdout.readline().decode().rsplit(":", 1)[1])

    def connect(self, made):
        return http.client.HTTPSConnection("localhost", self.port, context=made, timeout=30)

    def request(self, connection, method, path, body=None):
        connection.request(method, path, body, AS_ROOT)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def wait(self, made):
        until = time.monotonic() + 60
        while True:
            c = self.connect(made)
            if self.request(c, "GET", "/readyz")[0] == 200:
                return c
            assert time.monotonic() < until
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process.stdout.close()
        self.notes.close()
        assert status == 0, open(self.notes.name, errors="replace").read()[-9000:]


def test_tls_on_both_listeners(binary, tmp_path):
    server = Secure(tmp_path)
    try:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            made = context(server.cert, versions=version)
            c = server.wait(made)
            assert c.sock.version() == version.name.replace("_", ".").replace("TLSv1.", "TLSv1.")
            assert server.request(c, "GET", "/v1/users")[0] == 200
            big = b'{"records":[' + b",".join(b'{"id":%d,"vector":[1,2],"metadata":{"t":"%s"}}' % (i, b"x" * 900) for i in range(5000)) + b"]}"
            server.request(c, "POST", "/v1/collections", b'{"name":"docs","dimension":2}')
            assert server.request(c, "POST", "/v1/collections/docs/upsert", big)[0] == 200
            status, page = server.request(c, "POST", "/v1/collections/docs/scroll", b'{"limit":5000}')
            assert status == 200 and len(page) > 4 << 20
            k = Kafka(server.kafka, made)
            assert k.scram("root", ROOT) == 0 and "__audit" in k.topics()[1]
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["h2"], "h2"), (["spdy/1"], None)):
            made = context(server.cert)
            made.set_alpn_protocols(offered)
            with made.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="localhost") as s:
                assert s.selected_alpn_protocol() == chosen
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", server.port), 10) as plain:  # no TLS: no answer
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(1000)
    finally:
        server.stop()


def test_sighup_changes_the_certificate_and_drops_nobody(binary, tmp_path):
    server = Secure(tmp_path)
    try:
        old = context(server.cert)
        c = server.wait(old)
        assert server.request(c, "GET", "/v1/users")[0] == 200
        certificate(server.folder, "server")  # the same files, another key
        new = context(server.cert)
        server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 60
        while True:
            try:
                fresh = server.connect(new)
                fresh.connect()
                break
            except ssl.SSLError:
                assert time.monotonic() < until
                time.sleep(0.02)
        assert server.request(fresh, "GET", "/v1/users")[0] == 200
        assert server.request(c, "GET", "/v1/users")[0] == 200  # the connection of before the change
        open(server.cert, "w").write("nonsense")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert server.request(server.connect(new), "GET", "/v1/users")[0] == 200  # the good one stays
    finally:
        server.stop()


def test_reloads_drop_no_request(binary, tmp_path):
    """SIGHUP again and again while requests run: on a connection that stands, and on new ones."""
    server = Secure(tmp_path)
    try:
        made = context(server.cert)
        server.wait(made).close()
        over, failures, done = threading.Event(), [], [0, 0]

        def ask(kept):
            c = server.connect(made)
            while not over.is_set():
                try:
                    if server.request(c, "GET", "/v1/users")[0] != 200:
                        failures.append("status")
                    done[kept] += 1
                    if not kept:
                        c.close()
                        c = server.connect(made)
                except Exception as failure:  # any is one too many
                    failures.append(repr(failure))
                    return

        threads = [threading.Thread(target=ask, args=(kept,)) for kept in (0, 1)]
        for t in threads:
            t.start()
        reloads, until = 0, time.monotonic() + 60
        while reloads < 30 or (min(done) <= 10 and not failures and time.monotonic() < until):
            server.process.send_signal(signal.SIGHUP)
            reloads += 1
            time.sleep(0.05)
        over.set()
        for t in threads:
            t.join()
        assert not failures and min(done) > 10, (failures, done)
    finally:
        server.stop()


def test_client_certificates(binary, tmp_path):
    authority = certificate(str(tmp_path), "authority")
    client, stranger = certificate(str(tmp_path), "client", authority), certificate(str(tmp_path), "stranger")
    server = Secure(tmp_path, "--tls-client-ca", authority[1])
    try:
        assert server.request(server.wait(context(server.cert, client)), "GET", "/v1/users")[0] == 200
        for wrong in (None, stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
                server.request(server.connect(context(server.cert, wrong)), "GET", "/livez")
    finally:
        server.stop()


def test_a_request_that_comes_with_the_end_of_the_handshake(binary, tmp_path):
    """Finished and the request in one segment: what is decrypted already must be looked at without another event."""
    server = Secure(tmp_path)
    try:
        made = context(server.cert)
        server.wait(made).close()
        for port, request, wanted in ((server.port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b'"live":true'),
                                      (server.kafka, block(struct.pack(">hhi", 18, 0, 7) + text("t")), struct.pack(">ih", 7, 0))):
            inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = made.wrap_bio(inward, outward, server_hostname="localhost")
            s = socket.create_connection(("127.0.0.1", port), 10)
            s.settimeout(10)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    if outward.pending:
                        s.sendall(outward.read())
                    inward.write(s.recv(65536))
            tls.write(request)
            s.sendall(outward.read())
            got = b""
            while wanted not in got:
                part = s.recv(65536)
                assert part, got
                inward.write(part)
                try:
                    while data := tls.read(65536):
                        got += data
                except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                    pass
            s.close()
    finally:
        server.stop()


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number, out = number << 1, b""
    while number >= 128:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def batch(value):
    record = b"\0\0\0\1" + varint(len(value)) + value + b"\0"  # attributes, two deltas, a null key
    body = struct.pack(">hiqqqhii", 0, 0, 1, 1, -1, -1, -1, 1) + varint(len(record)) + record
    return struct.pack(">qiibI", 0, len(body) + 9, 0, 2, crc32c(body)) + body


def test_files_are_fetched_over_tls(binary, tmp_path):
    """Ranges of files: more than one piece of 256 KiB, whole and in order."""
    server = Secure(tmp_path)
    try:
        made = context(server.cert)
        server.wait(made).close()
        k = Kafka(server.kafka, made)
        assert k.plain("root", ROOT) == 0 and k.topics("big", create=True)[1] == {"big": 0}
        values = [os.urandom(300000) for _ in range(3)]
        for value in values:
            sent = k.call(0, 3, text(None) + struct.pack(">hi", -1, 9000) + array(text("big") + array(struct.pack(">i", 0) + block(batch(value)))))
            assert struct.unpack_from(">h", sent, 4 + len(text("big")) + 8)[0] == 0, sent
        for _ in range(3):
            got = k.call(1, 4, struct.pack(">iiiib", -1, 1000, 1, 10 << 20, 0) + array(text("big") + array(struct.pack(">iqi", 0, 0, 10 << 20))))
            places = [got.find(value) for value in values]
            assert len(got) > 900000 and -1 not in places and places == sorted(places)
            assert k.topics("big")[1] == {"big": 0}  # what follows is in step
    finally:
        server.stop()
