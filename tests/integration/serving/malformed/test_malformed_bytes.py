"""Bytes that are not HTTP, or half of a request, to a model server and to the router. They are refused in JSON where a
client can read it, and never disturb other clients. Meanwhile 200 idle connections stay open."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse

import pytest

from tests.integration.serving.malformed import tables
from tests.integration.serving.malformed.spoiled import spoiled, tried
from tests.integration.serving.malformed.verdict import SECONDS, Target, reason_of, refused, strict

HalfSent = list[tuple[str, socket.socket]]


@pytest.fixture(scope="module", autouse=True)
def half_sent(target: Target) -> Iterator[HalfSent]:
    opened: HalfSent = []
    for what, sent in list(tables.HALF.items()) * 25:
        opened.append((what, socket.create_connection(("127.0.0.1", target.port), timeout=3 * SECONDS)))
        opened[-1][1].sendall(sent)
    yield opened
    for _, connection in opened:
        connection.close()


def exchange(port: int, sent: bytes, answers: int = 1, *, closed: bool = True) -> list[tuple[int, bytes]]:
    """Returns the answers, followed by the end of the connection if it should be `closed`."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection, suppress(ConnectionError):
        with suppress(ConnectionError):  # The connection may be closed before everything is sent.
            connection.sendall(sent)
        while (closed or len(whole(got)) < answers) and (part := connection.recv(2**16)):
            got += part
    assert len(whole(got)) == answers, got
    return whole(got)


def whole(got: bytes) -> list[tuple[int, bytes]]:
    """Returns the status and the body of each complete answer."""
    found = []
    while sized := re.match(rb"HTTP/1.1 (\d+) .*?\r\ncontent-length: (\d+)\r\n.*?\r\n\r\n", got, re.DOTALL):
        status, length = map(int, sized.groups())
        body, got = got[sized.end() : sized.end() + length], got[sized.end() + length :]
        if len(body) == length:
            found.append((status, body))
    return found


def test_what_is_no_http_is_refused_and_its_connection_closed(target: Target) -> None:
    sent = {what: (part, 400) for what, part in tables.NO_HTTP.items()} | tables.TOO_LARGE
    for what, (part, status) in sent.items():
        [(got, body)] = exchange(target.port, part)
        assert got == status, what
        reason_of(got, body)
        target.answers()
    assert len(sent) >= 40


def test_a_good_request_before_garbage_is_answered(target: Target) -> None:
    [(status, body)] = exchange(target.port, tables.post() + b"garbage\r\n\r\n")
    assert (status, strict(body)["data"]["ndarray"]) == (200, [[target.score]])


def test_an_upgrade_that_a_client_asks_for_is_passed_over_and_its_body_read(target: Target) -> None:
    """Java's client and `curl --http2` ask for an upgrade with their first request."""
    asked = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    answers = exchange(target.port, tables.post(extra=asked) * 2 + b"garbage\r\n\r\n", 2)
    assert [(status, strict(body)["data"]["ndarray"]) for status, body in answers] == [(200, [[target.score]])] * 2


def test_through_the_router_the_reasons_are_the_same(router: Target) -> None:
    assert all(tried(router, request) for request in [*tables.no_json(), *tables.headers()][::4])
    assert refused(lambda request: tried(router, request), spoiled(), 30) >= 20


def test_the_router_refuses_what_is_no_http_and_answers_on(router: Target) -> None:
    """Except HTTP/2, which it speaks. An unknown transfer coding is refused with 501, as RFC 9112 says."""
    for what, part in tables.NO_HTTP.items():
        if what == "a preface of HTTP/2":
            continue
        [(status, body)] = exchange(router.port, part, closed=False)
        assert 400 <= status < 500 or (what, status) == ("a coding after chunked", 501), what
        assert strict(body)["error"], what
        router.answers()


def test_who_sends_half_a_request_is_told_so_and_let_go(target: Target, half_sent: HalfSent) -> None:
    """The last test, because it waits for requests that the other tests did not finish."""
    for what, connection in half_sent:
        if what == "nothing":  # It may still arrive.
            continue
        response = HTTPResponse(connection)
        response.begin()
        reason = reason_of(response.status, response.read())
        if what == "half a body for a wrong path":
            assert response.status == 404
        else:
            assert (response.status, reason.startswith("The rest of the request did not arrive")) == (408, True)
        assert connection.recv(1) == b""
    target.answers()
