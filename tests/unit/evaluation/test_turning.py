"""Each rule names the estimate that would have changed its verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sailplane.evaluation.daily import DailyEvidence
from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.verdict import Evidence, verdict
from sailplane.records import Rule
from tests.unit.evaluation.ruled import piece, rule

WIDTH = 0.03


def gained(gate: Gate, name: str, gain: float, *, width: float | None = WIDTH) -> Rule:
    """Returns the rule's verdict on a gain over both others with an interval of this width."""
    found = {"challenger": {"auc": 0.7 + gain}, "champion": {"auc": 0.7}, "baseline": {"auc": 0.7}}
    low, high = (None, None) if width is None else (gain - width, gain + width)
    evidence = Evidence(
        metrics=found, gain_at_least=low, over_baseline_at_most=high, clusters_text="7 days", slices=parts(gate, gain)
    )
    [chosen] = [rule for rule in verdict(gate, evidence) if rule.name == name]
    return chosen


def parts(gate: Gate, gain: float) -> list[Slice]:
    """Returns two slices with the same interval; the first is 0.02 worse than the second."""
    most = gate.slices.get("country", 0.0) + WIDTH
    return [
        replace(piece(value, 0.7 + part, 0.7, worse=part < -most), fails_at=most, clusters=6, gain=part)
        for value, part in (("A", gain), ("B", gain + 0.02))
    ]


@pytest.mark.parametrize("gain", [-0.2, -0.01, 0.0, 0.01, 0.2])
@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("minimum", Gate(minimum=0.65)),
        ("champion", Gate(beat_champion_by=0.01)),
        ("champion", Gate(beat_champion_by=0.01, confidence=0.9, cluster="row")),
        ("baseline", Gate(baseline=0.005)),
        ("slices of country", Gate(slices={"country": 0.01})),
    ],
)
def test_a_rule_turns_where_it_says_that_it_does(name: str, gate: Gate, gain: float) -> None:
    here, away = gained(gate, name, gain), 0.7 if name == "minimum" else 0.0
    assert here.turns is not None
    assert here.estimate == pytest.approx(away + gain)
    assert here.otherwise.startswith("would fail" if here.passed else "would pass")
    below, above = (gained(gate, name, here.turns - away + way).passed for way in (-1e-6, 1e-6))
    assert (below, above) == (False, True)


def test_the_rules_with_an_interval_have_its_bound_its_clusters_and_its_level() -> None:
    gate = Gate(confidence=0.9, baseline=0.01, slices={"country": 0.01})
    champion = gained(replace(gate, cluster="row"), "champion", -0.05)
    baseline, slices = (gained(gate, name, -0.05) for name in ("baseline", "slices of country"))
    assert (champion.bound, champion.clusters, champion.level) == (pytest.approx(-0.08), "7 days", pytest.approx(0.1))
    assert (baseline.bound, baseline.clusters, baseline.level) == (pytest.approx(-0.02), "7 days", pytest.approx(0.1))
    assert (slices.bound, slices.clusters, slices.level) == (pytest.approx(-0.02), "6 days", pytest.approx(0.05))
    assert [rule.otherwise for rule in (champion, baseline, slices)] == [
        "would pass with a gain above +0.0300, with the same spread",
        "would pass with a gain of -0.0400 or more, with the same spread",
        "would pass with a gain of -0.0400 or more in A, with the same spread",
    ]


def test_a_rule_without_an_interval_says_that_it_needs_one() -> None:
    gate = Gate(confidence=0.9, cluster="row")
    champion, baseline = (gained(gate, name, 0.1, width=None) for name in ("champion", "baseline"))
    assert (champion.passed, champion.otherwise) == (False, "would pass only with an interval")
    assert (baseline.passed, baseline.otherwise) == (True, "would fail only with an interval")


def test_a_rule_over_all_looks_says_which_evidence_would_have_changed_it() -> None:
    gate, metrics = Gate(confidence=0.9), {"challenger": {"auc": 0.8}, "champion": {"auc": 0.7}}
    for log_evidence, passed, otherwise in (
        (2.4, True, "would fail with less than e = 10, or a gain of 0 or less"),
        (2.2, False, "would pass with e = 10 or more and a gain above 0"),
    ):
        daily = DailyEvidence(days=6, log_evidence=log_evidence, level=gate.level)
        got = next(one for one in verdict(gate, Evidence(metrics=metrics, daily=daily)) if one.name == "champion")
        assert (got.passed, got.otherwise, got.clusters) == (passed, otherwise, "6 days")


def test_several_slices_that_fail_are_counted() -> None:
    got = gained(Gate(slices={"country": 0.01}), "slices of country", -0.2).otherwise
    assert got == "would pass with a gain of -0.0400 or more in A and a higher gain in 1 more, with the same spread"


def test_a_latency_and_an_as_of_say_what_would_pass() -> None:
    known = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    assert rule(Gate(max_latency_ms=10), "latency", latency_ms=12.0).otherwise == "would pass at 10 ms or less"
    assert rule(Gate(), "as of", as_of=known).otherwise == "would pass as of 2026-03-02 or later"


def test_a_rule_of_an_earlier_release_still_loads() -> None:
    old = {"name": "minimum", "passed": True, "got": "auc 0.6000", "expected": "at least 0.5500"}
    loaded = Rule.from_dict(old)
    assert (loaded.content(), str(loaded)) == (old, "minimum: auc 0.6000, expected at least 0.5500")
    assert Rule.from_dict(gained(Gate(), "champion", 0.1).to_dict()) == gained(Gate(), "champion", 0.1)
