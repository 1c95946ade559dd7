from __future__ import annotations

import json
from typing import Any

import pytest

from sailplane.algorithmia.twin.insights import MOST_BYTES, RESERVED, checked, insights, report
from sailplane.errors import RequestError
from sailplane.ledger import Ledger


def body(*metrics: tuple[Any, Any]) -> bytes:
    return json.dumps([{"insight_key": key, "insight_value": value} for key, value in metrics]).encode()


def test_a_report_has_up_to_25_metrics_of_any_json_value() -> None:
    metrics = [
        (f"m{number}", value) for number, value in enumerate([1, 0.5, "words", True, None, [1], {"a": 1}] + [0] * 18)
    ]
    assert checked(body(*metrics)) == metrics


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "invalid JSON"),
        (b"[NaN]", "invalid JSON"),
        (b"{}", "dict"),
        (b"[]", "0 metrics"),
        (body(*[("m", 1)] * 26), "26 metrics"),
        (body(("m", "x" * MOST_BYTES)), "expected at most 25600"),
        (body(("", 1)), "a name of 1 to 255"),
        (body((1, 1)), "a name of 1 to 255"),
        (body(("x" * 256, 1)), "a name of 1 to 255"),
        (b'[{"insight_key": "a"}]', "insight_value"),
        (b"[1]", "insight_key"),
        *((body((name, 1)), "reserved") for name in sorted(RESERVED)),
    ],
)
def test_a_report_over_a_limit_is_refused_with_it(content: bytes, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        checked(content)


def test_insights_are_listed_newest_first_and_by_algorithm(ledger: Ledger) -> None:
    first = report(ledger, [("a", 1), ("b", {"c": None})], user=None, algorithm="local/flights")
    second = report(ledger, [("a", "x")], user="alice", algorithm=None)
    found = insights(ledger)
    assert [(one.report, one.key, one.value) for one in found] == [
        (second, "a", "x"),
        (first, "b", {"c": None}),
        (first, "a", 1),
    ]
    assert [one.report for one in insights(ledger, algorithm="local/flights")] == [first, first]
    assert [one.user for one in insights(ledger, most=1)] == ["alice"]
