"""Insights: named numbers or words that an algorithm reports about its calls, in a table of the ledger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import orjson
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sailplane.algorithmia.twin.guard import is_loopback
from sailplane.algorithmia.twin.streams import body
from sailplane.algorithmia.twin.twin import Twin
from sailplane.errors import RequestError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import insights as table
from sailplane.records import Record

# Algorithmia's own limits.
MOST_METRICS: Final = 25
MOST_BYTES: Final = 25 * 1024
RESERVED: Final = frozenset(
    {
        "request_id",
        "timestamp",
        "duration_milliseconds",
        "algorithm_owner",
        "algorithm_name",
        "algorithm_version",
    }
)
_MOST_KEY_CHARACTERS: Final = 255


@dataclass(frozen=True, kw_only=True)
class Insight(Record):
    """`report` identifies insights sent together; `algorithm` (owner/name) and `user` are None if unknown."""

    report: str
    time: datetime
    user: str | None
    algorithm: str | None
    key: str
    value: Any


def checked(content: bytes) -> list[tuple[str, Any]]:
    """The metrics of a report. Raises RequestError."""
    if len(content) > MOST_BYTES:
        raise RequestError("take insights", status=413, got=f"{len(content)} bytes", expected=f"at most {MOST_BYTES}")
    try:
        metrics = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RequestError("take insights", got=f"invalid JSON: {error}") from error
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= MOST_METRICS:
        got = f"{len(metrics)} metrics" if isinstance(metrics, list) else type(metrics).__name__
        raise RequestError("take insights", got=got, expected=f"a list of 1 to {MOST_METRICS} metrics")
    return [_metric(number, metric) for number, metric in enumerate(metrics)]


def report(ledger: Ledger, metrics: Sequence[tuple[str, Any]], *, user: str | None, algorithm: str | None) -> str:
    """Records the metrics together and returns the report's id."""
    about = {"report": uuid4().hex, "time": time.time(), "user": user, "algorithm": algorithm}
    with ledger.begin() as connection:
        connection.execute(sa.insert(table), [{**about, "key": key, "value": value} for key, value in metrics])
    return str(about["report"])


@persistent
def insights(ledger: Ledger, *, algorithm: str | None = None, most: int | None = None) -> list[Insight]:
    """Newest first."""
    query = sa.select(table).order_by(table.c.id.desc())
    if algorithm is not None:
        query = query.where(table.c.algorithm == algorithm)
    with ledger.begin() as connection:
        return [_insight(row) for row in connection.execute(query.limit(most))]


class Insights:
    """`POST /v1/insights`, or `/algorithms/{owner}/{name}/v1/insights`: an algorithm identifies itself by using that
    address as its ALGORITHMIA_API.

    The Python client sends no key here, because on Algorithmia it called its own container. So requests from this
    machine need none; their content type is one that a page in a browser cannot send.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def __call__(self, request: Request) -> Response:
        user = None if _is_algorithm_here(request) else await self._twin.caller(request)
        metrics = checked(await body(request, MOST_BYTES + 1))
        parts = request.path_params
        algorithm = f"{parts['owner']}/{parts['name']}" if parts else None
        found = await self._twin.do(report, self._twin.ledger, metrics, user=user, algorithm=algorithm)
        return JSONResponse({"result": {"report": found, "metrics": len(metrics)}})


def _is_algorithm_here(request: Request) -> bool:
    if "Authorization" in request.headers or request.client is None:
        return False
    is_json = request.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
    # Also checks the host name, because a page can point its own name to this machine's address.
    return is_json and is_loopback(request.client.host) and is_loopback(request.url.hostname or "")


def _metric(number: int, metric: Any) -> tuple[str, Any]:
    if not isinstance(metric, dict) or metric.keys() != {"insight_key", "insight_value"}:
        expected = '{"insight_key": ..., "insight_value": ...}'
        raise RequestError("take insight", number, got=repr(metric)[:100], expected=expected)
    key = metric["insight_key"]
    if not isinstance(key, str) or not 1 <= len(key) <= _MOST_KEY_CHARACTERS:
        expected = f"a name of 1 to {_MOST_KEY_CHARACTERS} characters"
        raise RequestError("take insight", number, got=repr(key)[:100], expected=expected)
    if key in RESERVED:
        raise RequestError(
            "take insight", key, got="a reserved name", expected=f"none of {', '.join(sorted(RESERVED))}"
        )
    return key, metric["insight_value"]


def _insight(row: sa.Row[Any]) -> Insight:
    return Insight(
        report=row.report,
        time=datetime.fromtimestamp(row.time, UTC),
        user=row.user,
        algorithm=row.algorithm,
        key=row.key,
        value=row.value,
    )
