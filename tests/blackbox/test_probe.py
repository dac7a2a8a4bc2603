"""Raw requests that two readers may understand in two ways: each is refused and its connection closed; no second request hides
in the body of a first. One row per way: bytes, the statuses of the answers, is the connection closed?"""
import re

import pytest

H = b"Host: x\r\n"
PIPELINED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*headers, body=b"", version=b"1.1"):
    return b"POST / HTTP/" + version + b"\r\n" + H + b"".join(headers) + b"\r\n" + body


ROWS = {
    "length twice, equal": (post(b"Content-Length: 5\r\n", b"Content-Length: 5\r\n", body=b"hello"), [400], True),
    "length twice, 5 and 3": (post(b"Content-Length: 5\r\n", b"Content-Length: 3\r\n", body=b"hello"), [400], True),
    "length twice, 3 and 5": (post(b"Content-Length: 3\r\n", b"Content-Length: 5\r\n", body=b"hello"), [400], True),
    "length, then chunked": (post(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n" + PIPELINED), [400], True),
    "chunked, then length": (post(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", body=b"0\r\n\r\n"), [400], True),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"), [400], True),
    "xchunked and chunked": (post(b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), [400], True),
    "chunked on 1.0": (post(b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n", version=b"1.0"), [400], True),
    "folded chunked": (post(b"Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"), [400], True),
    "folded header": (b"GET / HTTP/1.1\r\n" + H + b"X-A: 1\r\n continued\r\n\r\n", [400], True),
    "space before colon": (b"GET / HTTP/1.1\r\n" + H + b"X-A : 1\r\n\r\n", [400], True),
    "length, space, colon": (post(b"Content-Length : 5\r\n", body=b"hello"), [400], True),
    "length +5": (post(b"Content-Length: +5\r\n", body=b"hello"), [400], True),
    "length -1": (post(b"Content-Length: -1\r\n", body=b"hello"), [400], True),
    "length 5,5": (post(b"Content-Length: 5,5\r\n", body=b"hello"), [400], True),
    "length empty": (post(b"Content-Length: \r\n", body=b"hello"), [400], True),
    "length 2^64-1": (post(b"Content-Length: 18446744073709551615\r\n", body=b"hello"), [400], True),
    "length 2^64+5": (post(b"Content-Length: 18446744073709551621\r\n", body=b"hello"), [400], True),
    "length of 20 nines": (post(b"Content-Length: 99999999999999999999\r\n", body=b"hello"), [400], True),
    "length over the limit": (post(b"Content-Length: 999999999\r\n", body=b"hello"), [413], True),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: x\n\n", [400], True),
    "chunks with bare line feeds": (post(b"Transfer-Encoding: chunked\r\n", body=b"5\nhello\n0\n\n" + PIPELINED), [404], True),
    "chunk size of 17 digits": (post(b"Transfer-Encoding: chunked\r\n", body=b"00000000000000005\r\nhello\r\n0\r\n\r\n"), [400], True),
    "endless chunk": (post(b"Transfer-Encoding: chunked\r\n", body=b"ffffffffffffffff\r\nhello"), [], False),
    "chunk size 0x5": (post(b"Transfer-Encoding: chunked\r\n", body=b"0x5\r\nhello\r\n0\r\n\r\n" + PIPELINED), [404], True),
    "chunk extension with line feed": (post(b"Transfer-Encoding: chunked\r\n", body=b"5 ;a=b\nX\r\nhello\r\n0\r\n\r\n"), [400], True),
    "chunk data without end": (post(b"Transfer-Encoding: chunked\r\n", body=b"5\r\nhelloXX0\r\n\r\n"), [400], True),
    "good chunks": (post(b"Transfer-Encoding: chunked\r\n", body=b"5\r\nhello\r\n0\r\n\r\n" + PIPELINED), [404], True),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", [400], True),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400], True),
    "NUL in a header": (b"GET / HTTP/1.1\r\n" + H + b"X: a\x00b\r\n\r\n", [400], True),
    "CR in a header": (b"GET / HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n", [400], True),
    "absolute form": (b"GET http://evil/collections HTTP/1.1\r\n" + H + b"\r\n", [400], True),
    "target without slash": (b"GET collections HTTP/1.1\r\n" + H + b"\r\n", [400], True),
    "dots": (b"GET /a/../../etc/passwd HTTP/1.1\r\n" + H + b"\r\n", [404], False),
    "encoded dots and NUL": (b"GET /a/%2e%2e/%00 HTTP/1.1\r\n" + H + b"\r\n", [404], False),
    "101 headers": (b"GET / HTTP/1.1\r\n" + H + b"".join(b"h%d: v\r\n" % i for i in range(101)) + b"\r\n", [400], True),
    "99 headers of 4,000 bytes": (b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (i, b"v" * 4000) for i in range(99)) + b"\r\n", [431], True),
    "one header of 430 KB": (b"GET / HTTP/1.1\r\nX: " + b"v" * 430000 + b"\r\n\r\n", [400], True),
    "long method": (b"A" * 3000 + b" / HTTP/1.1\r\n" + H + b"\r\n", [501], True),
    "HTTP/1.9": (b"GET / HTTP/1.9\r\n" + H + b"\r\n", [505], True),
    "HTTP/2.0 in the line": (b"GET / HTTP/2.0\r\n" + H + b"\r\n", [400], True),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", [], False), # gRPC: our SETTINGS, no line of HTTP/1
    "upgrade to h2c": (b"GET / HTTP/1.1\r\n" + H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", [404], True),
    "expect 100": (post(b"Expect: 100-continue\r\n", b"Content-Length: 5\r\n", body=b"hello"), [100, 404], False),
    "expect nonsense": (post(b"Expect: foo\r\n", b"Content-Length: 5\r\n", body=b"hello"), [417], True),
    "three pipelined": (b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" * 3, [404, 404, 404], False),
    "GET with a body": (b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello", [404], False),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, [400], True),
}


@pytest.mark.parametrize("name", list(ROWS))
def test_row(server, name):
    data, statuses, closed = ROWS[name]
    out, ended = server.raw(data, wait=5.0 if closed else 0.5)
    assert [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d\d\d)", out)] == statuses, out[:300]
    assert ended == closed, out[:300]


def test_refusals_are_json(server):
    """Also those that come before a handler of ours sees the request."""
    for name in ("length twice, equal", "length over the limit", "expect nonsense", "length +5", "no host", "long method"):
        out, _ = server.raw(ROWS[name][0])
        head, _, body = out.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head.lower(), name
        assert int(re.search(rb"(?i)content-length: (\d+)", head)[1]) == len(body), name
        assert body.startswith(b'{"error":{"code":'), name


def test_server_is_unharmed(server):
    assert server.get("/livez").status == 200
