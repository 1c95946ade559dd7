"""Lists of requests: bodies that are not JSON, wrong paths and methods, and bytes that are not HTTP."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

from tests.integration.serving.malformed.spoiled import GOOD, Malformed
from tests.integration.serving.malformed.verdict import GOOD as GOOD_BODY
from tests.integration.serving.malformed.verdict import PREDICTIONS
from tests.unit.serving.open_inference.test_messages import INFER


def no_json() -> Iterator[Malformed]:
    for path, message in GOOD[::2]:
        good = json.dumps(message).encode()
        bodies = [b"", b" ", b"\0", good[:-1], good[: len(good) // 2], good[1:], good + b",", good + good]
        bodies += [b"\xef\xbb\xbf" + good, good.decode().encode("utf-16"), good.replace(b'"', b'"\xff', 1)]
        bodies += [good.replace(b'"', b"'"), good.replace(b"{", b"{,", 1), b"// a comment\n" + good, b"[" * 100_000]
        bodies += [
            b"json=" + good,
            b"<xml/>",
            b"NaN",
            b"nil",
            b"\x82\xa4data\xc0",
            gzip.compress(good),
            b'{"a":' * 5000,
        ]
        yield from (Malformed(path, body, ("JSON",)) for body in bodies)
        yield from (Malformed(path, body) for body in (b"null", b"true", b"1", b'"x"', b"[]", b"{}", b"[{}]", b"[[1]]"))


def headers() -> Iterator[Malformed]:
    for path in (PREDICTIONS, INFER):
        for coding in ("br", "zstd", "compress", "gzip, identity", "gzip, gzip", "\xff"):
            coded = (("Content-Encoding", coding),)
            yield Malformed(path, gzip.compress(GOOD_BODY), ("Content-Encoding",), headers=coded)
        for coding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _raw_deflate)):
            for body in _broken(pack(GOOD_BODY)):
                yield Malformed(path, body, (f"{coding} body",), headers=(("Content-Encoding", coding),))
            bomb = pack(b" " * (40 * 2**20))
            yield Malformed(path, bomb, ("a larger body",), headers=(("Content-Encoding", coding),))
            packed = pack(GOOD_BODY[:-1])
            yield Malformed(path, packed, ("JSON",), headers=(("Content-Encoding", coding),))
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/csv", "", "a" * 2000):
            yield Malformed(path, b"distance=1", ("JSON",), headers=(("Content-Type", kind),))
    yield from _forms()


def _broken(stream: bytes) -> list[bytes]:
    return [b"", stream[:-1], stream[: len(stream) // 2], stream + b"x", b"\xff" * 20, b"\x1f\x8b\x08", b"x"]


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def _forms() -> Iterator[Malformed]:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    end = b"--x--\r\n"
    wrong = [b"", b"--x", b"--y\r\n", end, part % (b"json", b"{"), part % (b"json", b"{") + end]
    wrong += [part % (b"json", GOOD_BODY) + part % (b"json", b"") + end, part % (b"nope", GOOD_BODY) + end]
    wrong += [part % (b"jsonData", b"nil") + end, b"\0" * 5000, b"--x\r\n" * 500, part.replace(b"name", b"nome") + end]
    kinds = ("multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 5000)
    for body in wrong:
        for kind in kinds:
            yield Malformed(PREDICTIONS, body, ("JSON",), headers=(("Content-Type", kind),))
    for body in (b"json=", b"json={", b"json=%ff", b"json=1&json={", b"json=&" * 2000):
        kind = "application/x-www-form-urlencoded"
        yield Malformed(PREDICTIONS, body, ("JSON",), headers=(("Content-Type", kind),))


WRONG_PATHS = ["/", "/nope", "/predict/", "//predict", "/%00", "/%ff%fe", "/..%2f..%2fetc%2fpasswd", "/predict%3f"]
WRONG_PATHS += [
    f"{PREDICTIONS};x=1",
    "/" + "a" * 5000,
    "/%E2%80%AE",
    "/v2/models",
    "/v2/models/",
    "/v2/models/nope/infer",
]
WRONG_PATHS += ["/v2/models/FLIGHTS/infer", "/v2/models/flights/versions/1/infer", "/v2/models/flights/versions//infer"]
WRONG_PATHS += [
    "/v2/models/flights/infer/",
    "/send-feedback/",
    "/v2/models/%66lights/versions/1",
    "/v2/models/flights%20/infer",
    "/%",
    "/%zz",
]


def places() -> Iterator[Malformed]:
    yield from (Malformed(path, GOOD_BODY, ("no such path",)) for path in WRONG_PATHS)
    for path in (PREDICTIONS, "/predict", INFER):
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            yield Malformed(path, b"" if method == "TRACE" else GOOD_BODY, (method,), method=method)
    for path in ("/metadata", "/v2/health/ready", "/v2/models/flights", "/openapi.json", "/metrics"):
        yield from (Malformed(path, GOOD_BODY, (method,), method=method) for method in ("POST", "PUT", "DELETE"))


def post(
    body: bytes = GOOD_BODY, extra: bytes = b"", path: bytes = PREDICTIONS.encode(), length: object = None
) -> bytes:
    size = str(len(body) if length is None else length).encode()
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %s\r\n\r\n%s" % (path, extra, size, body)


def chunked(body: bytes) -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def get(rest: bytes) -> bytes:
    return b"GET /health/ping " + rest


# Each is refused with 400, and its connection is closed.
NO_HTTP: dict[str, bytes] = {
    "bytes": b"\x00\xff\xfe\r\n\r\n",
    "words": b"good morning\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301020001000001fc0303") + b"\x11" * 500,
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": get(b"HTTP/3.0\r\nHost: localhost\r\n\r\n"),
    "HTTP/1.x": get(b"HTTP/1.x\r\nHost: localhost\r\n\r\n"),
    "no HTTP at all": get(b"FTP/1.1\r\nHost: localhost\r\n\r\n"),
    "an unknown method": b"FOO /predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method in small letters": b"post /predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": get(b"HTTP/1.1\r\nHost: a\x00b\r\n\r\n"),
    "NUL in the path": b"GET /he\x00alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path of other bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path that is none": b"GET predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a URL without a host": b"GET http:///predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT elsewhere:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "lines that end in LF": get(b"HTTP/1.1\nHost: localhost\n\n"),
    "a header that is folded": get(b"HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n"),
    "a header without a colon": get(b"HTTP/1.1\r\nHost\r\n\r\n"),
    "a space before the colon": get(b"HTTP/1.1\r\nHost : x\r\n\r\n"),
    "a header without a name": get(b"HTTP/1.1\r\n: x\r\n\r\n"),
    "a length that is negative": post(length=-1),
    "a length that is no number": post(length="many"),
    "a length in hexadecimal": post(length="0x10"),
    "a length of 40 digits": post(length="9" * 40),
    "an empty length": post(length=""),
    "two lengths": post(extra=b"Content-Length: 3\r\n"),
    "two lengths in one": post(length="3, 4"),
    "a length and chunks": post(extra=b"Transfer-Encoding: chunked\r\n"),
    "a coding that is not chunked": post(extra=b"Transfer-Encoding: gzip\r\n"),
    "a coding after chunked": chunked(b"").replace(b"chunked", b"chunked, gzip") + b"0\r\n\r\n",
    "a chunk size that is no number": chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk size that is negative": chunked(b"-5\r\n{}\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": chunked(b"f" * 20 + b"\r\n{}\r\n"),
    "a chunk that is longer than it says": chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "no chunk size": chunked(b"\r\n\r\n\r\n"),
    "a body that goes on after its length": post(length=10),
    "a body for a wrong path that breaks": chunked(b"3\r\nabc\r\nzz\r\n").replace(b"/predict", b"/nope"),
}
# These are refused with another status.
TOO_LARGE: dict[str, tuple[bytes, int]] = {
    "one header of 1 MB": (get(b"HTTP/1.1\r\nX: " + b"a" * 2**20 + b"\r\n\r\n"), 431),
    "40,000 headers": (get(b"HTTP/1.1\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 40_000 + b"\r\n"), 431),
    "a path of 1 MB": (b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    "a body of a terabyte": (post(length=10**12), 413),
    "a body over the limit": (post(b" " * (20 * 2**20), b"Connection: close\r\n"), 413),
    "chunks over the limit, without an end": (chunked((b"100000\r\n" + b" " * 2**20 + b"\r\n") * 20), 413),
}
# Requests that are never finished.
HALF: dict[str, bytes] = {
    "nothing": b"",
    "half a line": b"POST /predi",
    "HTTP/0.9": b"GET /health/ping\r\n",
    "half a head": post()[:60],
    "no body": post(length=500)[: -len(GOOD_BODY)],
    "half a body": post()[:-20],
    "half a chunk": chunked(b"ff\r\n{"),
    "half a body for a wrong path": post(path=b"/nope")[:-20],
}
