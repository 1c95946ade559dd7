"""Compressed bodies are read within the same limits as others, and refused with the reason."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.errors import RequestError
from sailplane.serving.bodies.content_coding import decoder
from sailplane.serving.scorer import RequestLimits
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask

GOOD = json.dumps({"jsonData": tiny.RECORD}).encode()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
    ("gzip", lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:])),
]


@pytest.mark.parametrize(("coding", "packed"), PACKED)
def test_a_compressed_request_gets_the_answer_of_the_same_request(
    bundle: Bundle, coding: str, packed: Callable[[bytes], bytes]
) -> None:
    usual = ask(bundle, "POST", "/predict", body=GOOD).json()["data"]
    response = ask(bundle, "POST", "/predict", body=packed(GOOD), headers={"content-encoding": coding})
    assert (response.status_code, response.json().get("data")) == (200, usual)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_another_coding_is_a_415_that_names_what_is_accepted(bundle: Bundle, coding: str) -> None:
    response = ask(bundle, "POST", "/predict", body=GOOD, headers={"content-encoding": coding})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "gzip, deflate, identity")
    assert "expected one of gzip, deflate, identity" in response.json()["error"]


BROKEN = {
    "cut": gzip.compress(GOOD)[:-9],
    "no gzip": GOOD,
    "empty": b"",
    "more": gzip.compress(GOOD) + b"more",
    "changed": gzip.compress(GOOD)[:-8] + b"\0" * 8,
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_broken_stream_is_a_400(bundle: Bundle, what: str, coding: str) -> None:
    body = BROKEN[what]
    if coding == "deflate" and body[:2] == b"\x1f\x8b":
        packed = zlib.compress(GOOD)
        body = {"cut": packed[:-5], "more": packed + b"more", "changed": packed[:-4] + b"\0" * 4}[what]
    response = ask(bundle, "POST", "/predict", body=body, headers={"content-encoding": coding})
    assert response.status_code == 400
    assert f"read {coding} body" in response.json()["error"]


@pytest.mark.slow
def test_a_bomb_is_a_413_and_never_inflated_whole(bundle: Bundle) -> None:
    bomb = gzip.compress(b" " * (50 * RequestLimits().body), compresslevel=9)
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        response = ask(bundle, "POST", "/predict", body=bomb, headers={"content-encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status_code == 413
    assert "Send fewer rows" in response.json()["error"]
    assert peak < 4 * RequestLimits().body


@pytest.mark.slow
def test_an_inflated_body_of_just_the_limit_is_read(bundle: Bundle) -> None:
    body = GOOD + b" " * (RequestLimits().body - len(GOOD))
    response = ask(bundle, "POST", "/predict", body=gzip.compress(body), headers={"content-encoding": "gzip"})
    assert response.status_code == 200
    response = ask(bundle, "POST", "/predict", body=gzip.compress(body + b" "), headers={"content-encoding": "gzip"})
    assert response.status_code == 413


@pytest.mark.parametrize(("coding", "packed"), [PACKED[0], PACKED[3], PACKED[4]])
def test_a_stream_may_come_byte_by_byte(coding: str, packed: Callable[[bytes], bytes]) -> None:
    body = bytes(range(256)) * 3000
    decode = decoder(coding.encode())
    assert decode is not None
    stream = packed(body)
    pieces = [piece for place in range(len(stream)) for piece in decode.decoded(stream[place : place + 1])]
    decode.end()
    assert b"".join(pieces) == body


def test_bytes_after_a_deflate_stream_are_refused() -> None:
    decode = decoder(b"deflate")
    assert decode is not None
    list(decode.decoded(zlib.compress(GOOD)))
    with pytest.raises(RequestError, match="more bytes after"):
        list(decode.decoded(b"x"))


def test_members_of_gzip_without_content_do_not_go_on_for_ever(bundle: Bundle) -> None:
    """They inflate to nothing, so their own size counts."""
    empty = gzip.compress(b"")
    body = empty * (RequestLimits().body // len(empty) + 1)
    response = ask(bundle, "POST", "/predict", body=body, headers={"content-encoding": "gzip"})
    assert response.status_code == 413
