"""Checks the answer to any malformed request, and that a valid request right after it is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from tests.unit.bundles import tiny

T = TypeVar("T")
PREDICTIONS = "/api/v1.0/predictions"
GOOD = json.dumps({"jsonData": tiny.RECORD}).encode()
# A generous bound for calls that take milliseconds.
SECONDS = 10.0
# Parts of a traceback, Python objects, and modules.
INTERNALS = re.compile(
    r'Traceback|File "|line \d+, in |0x[0-9a-f]{6}|<\w+ object|NoneType|[a-z]Error\b|[a-z]Exception\b|\.py\b'
    r"|\b(numpy|pandas|orjson|uvicorn|httptools|sailplane|google)\."
)


@dataclass(frozen=True)
class Target:
    """A model server, or the router with the `prefix` of the model. `score` is the score of the valid request."""

    port: int
    score: float
    prefix: str = ""

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def path(self, path: str) -> str:
        """Returns the path at the target. The router uses the same paths for the Open Inference Protocol."""
        return path if path.startswith("/v2") else self.prefix + path

    def answers(self, connection: HTTPConnection | None = None) -> None:
        """Checks that the valid request gets its score, on a new connection unless one is given."""
        with nullcontext(connection) if connection else closing(self.connect()) as used:
            used.request("POST", self.path(PREDICTIONS), GOOD)
            response = used.getresponse()
            told = strict(response.read())
            assert response.status == 200, told
            assert told["data"]["ndarray"] == [[self.score]]


def refused(attempt: Callable[[T], bool], strategy: SearchStrategy[T], examples: int) -> int:
    """Returns how many of the examples were refused. Each run draws the same examples."""
    found = []

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def attempt_each(malformed: T) -> None:
        found.append(attempt(malformed))

    attempt_each()
    return sum(found)


def reason_of(status: int, body: bytes, named: Sequence[str] = ()) -> str:
    """Returns the reason, which has one of `named`."""
    assert 400 <= status < 500, (status, body[:500])
    told = strict(body)
    reason = str(told["error"])
    assert (told["status"]["info"], told["status"]["status"]) == (reason, "FAILURE")
    assert told["status"]["code"] == status
    check_reason(reason, named)
    return reason


def check_reason(reason: str, named: Sequence[str] = ()) -> None:
    assert reason
    assert len(reason) < 2_000
    assert not INTERNALS.search(reason), reason
    assert not named or any(name in reason for name in named), (named, reason)


def strict(body: bytes) -> Any:
    """Parses JSON as specified; Python alone would accept NaN as a number."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(body, parse_constant=refuse)


def rows_of(response: HTTPResponse, body: bytes) -> int | None:
    """Returns the number of rows for which the reply has scores, each a probability; None for a reply to feedback."""
    length = int(response.headers.get("inference-header-content-length") or len(body))
    told = strict(body[:length])
    if told.keys() == {"meta"}:
        return None
    if "outputs" in told:
        [output] = told["outputs"]
        rows, scores = output["shape"][0], output.get("data", [])
    elif "tensor" in told["data"]:
        rows, scores = told["data"]["tensor"]["shape"][0], told["data"]["tensor"]["values"]
    else:
        rows, scores = len(told["data"]["ndarray"]), [score for row in told["data"]["ndarray"] for score in row]
    assert all(0 <= score <= 1 for score in scores)
    return int(rows)
