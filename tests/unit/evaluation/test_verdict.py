from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sailplane.evaluation.daily import DailyEvidence, shown
from sailplane.evaluation.details import Estimate, Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.verdict import Evidence, reasons, verdict
from sailplane.records import Rule


def judged(gate: Gate, found: dict[str, float], metric: str = "auc", **evidence: Any) -> tuple[bool, tuple[str, ...]]:
    """Returns whether all rules passed, and the reasons."""
    whole = Evidence(metrics={name: {metric: value} for name, value in found.items()}, **evidence)
    rules = verdict(gate, whole)
    return all(rule.passed for rule in rules), reasons(gate, whole, rules)


def rule(gate: Gate, name: str, **evidence: Any) -> Rule:
    found = {"challenger": {"auc": 0.7}, "champion": {"auc": 0.69}, "baseline": {"auc": 0.71}}
    [chosen] = [rule for rule in verdict(gate, Evidence(metrics=found, **evidence)) if rule.name == name]
    return chosen


def piece(value: str, challenger: float, champion: float, *, worse: bool) -> Slice:
    estimates = {name: Estimate(value=value) for name, value in [("challenger", challenger), ("champion", champion)]}
    gain = challenger - champion
    return Slice(column="country", value=value, rows=800, **estimates, gain=gain, worse=worse)


def test_without_a_champion_no_rule_compares_with_one() -> None:
    passed, told = judged(Gate(slices={"country": 0.01}, baseline=None), {"challenger": 0.6, "baseline": 0.7})
    assert passed
    assert told == (
        "passed: minimum: auc 0.6000, expected at least 0.5500; would fail below auc 0.5500",
        "passed: serves: its golden rows score as in training, expected the scores recorded in training",
        "no champion yet: no rule compares with one",
        "for information: auc 0.6000 is not better than the baseline's 0.7000; the gate has no rule about the baseline",
    )


@pytest.mark.parametrize(("at_most", "expected"), [(0.001, True), (0.0, True), (-0.001, False), (None, True)])
def test_a_model_that_is_worse_than_the_baseline_beyond_chance_does_not_pass(
    at_most: float | None, expected: bool
) -> None:
    """Without an interval nothing shows that it is worse."""
    got = rule(Gate(), "baseline", over_baseline_at_most=at_most, clusters_text="7 days")
    assert got.passed is expected
    bound = "no interval" if at_most is None else f"with confidence 0.95 at most {at_most:+.4f}"
    assert got.got == f"auc 0.7000, a gain of -0.0100, {bound} (7 days)"
    assert got.expected == "not worse than the baseline's 0.7100 with confidence 0.95"


def test_a_gate_may_allow_some_loss_to_the_baseline() -> None:
    got = rule(Gate(baseline=0.02), "baseline", over_baseline_at_most=-0.015)
    assert (got.passed, got.expected) == (
        True,
        "not worse than the baseline's 0.7100 by more than 0.02 with confidence 0.95",
    )


def test_below_the_minimum_fails() -> None:
    passed, told = judged(Gate(), {"challenger": 0.54})
    assert not passed
    assert told[0] == "failed: minimum: auc 0.5400, expected at least 0.5500; would pass at auc 0.5500 or above"


def test_a_loss_above_the_maximum_fails_and_a_smaller_one_beats_the_champion() -> None:
    gate = Gate(metric="brier", maximum=0.2)
    assert not judged(gate, {"challenger": 0.21}, metric="brier")[0]
    passed, told = judged(gate, {"challenger": 0.18, "champion": 0.19}, metric="brier")
    assert passed
    assert told[:2] == (
        "passed: maximum: brier 0.1800, expected at most 0.2000; would fail above brier 0.2000",
        "passed: champion: brier 0.1800, expected less than the champion's 0.1900; would fail with a gain of 0 or less",
    )


@pytest.mark.parametrize(("champion", "expected"), [(0.69, True), (0.70, False), (0.71, False)])
def test_a_challenger_must_be_better_than_the_champion_not_equal(champion: float, expected: bool) -> None:
    passed, told = judged(Gate(), {"challenger": 0.70, "champion": champion})
    assert passed is expected
    assert f"expected more than the champion's {champion:.4f}" in told[1]


def test_better_than_a_bad_champion_is_not_enough() -> None:
    assert not judged(Gate(), {"challenger": 0.52, "champion": 0.51})[0]


def test_a_challenger_may_have_to_be_better_by_more_than_a_hair() -> None:
    got = rule(Gate(beat_champion_by=0.02), "champion")
    assert got == Rule(
        name="champion",
        passed=False,
        got="auc 0.7000",
        expected="more than the champion's 0.6900, better by more than 0.02",
        estimate=0.7 - 0.69,
        turns=0.02,
        otherwise="would pass with a gain above +0.0200",
    )
    assert rule(Gate(beat_champion_by=0.005), "champion").passed


@pytest.mark.parametrize(("at_least", "expected"), [(0.001, True), (0.0, False), (-0.002, False), (None, False)])
def test_with_a_confidence_by_rows_the_lower_bound_of_each_evaluation_decides(
    at_least: float | None, expected: bool
) -> None:
    got = rule(Gate(confidence=0.95, cluster="row"), "champion", gain_at_least=at_least)
    assert got.passed is expected
    assert got.got.startswith("auc 0.7000, a gain of +0.0100")
    assert got.expected == "more than the champion's 0.6900 with confidence 0.95"


def daily(evidence: float) -> DailyEvidence:
    return DailyEvidence(days=9, log_evidence=math.log(evidence), level=0.05)


@pytest.mark.parametrize(("evidence", "expected"), [(20.1, True), (19.9, False), (0.4, False)])
def test_with_a_confidence_by_days_the_evidence_of_all_days_decides(evidence: float, expected: bool) -> None:
    """The interval of this window does not matter."""
    for at_least in (0.005, -0.005, None):
        got = rule(Gate(confidence=0.95), "champion", gain_at_least=at_least, daily=daily(evidence))
        assert got.passed is expected
    assert got.got == f"auc 0.7000, a gain of +0.0100; e = {shown(evidence)} of 20 needed, from 9 days"
    assert got.expected == "more than the champion's 0.6900 with confidence 0.95 over all looks"


def test_a_model_that_is_not_better_on_this_window_does_not_take_over_on_earlier_evidence() -> None:
    assert not rule(Gate(confidence=0.95, beat_champion_by=0.02), "champion", daily=daily(1000)).passed


def test_a_window_without_any_day_of_two_classes_does_not_pass() -> None:
    got = rule(Gate(confidence=0.95), "champion", daily=DailyEvidence.of(Gate(confidence=0.95), {}))
    assert (got.passed, got.got) == (False, "auc 0.7000, a gain of +0.0100; e = 1.00 of 20 needed, from 0 days")


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            Gate(confidence=0.95),
            "false promotions: at most 0.053 expected a year if no model is better than its champion, however often "
            "the gate looks",
        ),
        (
            Gate(),
            "false promotions: no limit over repeated looks, since the gate has no confidence. Set "
            "Gate(confidence=0.95)",
        ),
        (
            Gate(confidence=0.95, cluster="row"),
            "false promotions: no limit over repeated looks, since the confidence holds for one evaluation with "
            'cluster="row". Set Gate(cluster="day") to limit them',
        ),
    ],
)
def test_the_reasons_say_how_many_false_promotions_to_expect(gate: Gate, said: str) -> None:
    found = {"challenger": 0.7, "champion": 0.69}
    assert said in judged(gate, found, daily=DailyEvidence.of(gate, {"2026-10-01": 0.01}))[1]
    assert not any("false promotions" in reason for reason in judged(gate, {"challenger": 0.7})[1])


def test_one_slice_that_is_worse_fails_the_rule_of_its_column() -> None:
    found = [piece("A", 0.7, 0.6, worse=False), piece("B", 0.6, 0.7, worse=True)]
    got = rule(Gate(slices={"country": 0.05}), "slices of country", slices=found)
    assert not got.passed
    assert got.got == "B (800 rows) auc 0.6000, the champion's 0.7000; 2 of 2 values judged, each at level 0.025"
    assert got.expected == "none worse by more than 0.05, with confidence 0.95 for all slices"


def test_slices_that_are_not_judged_stop_nothing_and_are_counted() -> None:
    small = Slice(column="country", value="C", rows=3, skipped="fewer than 100 rows")
    got = rule(Gate(slices={"country": 0.05}, confidence=0.9), "slices of country", slices=[small])
    assert (got.passed, got.got) == (True, "0 of 1 values judged")
    assert got.expected.endswith("with confidence 0.9 for all slices")


def test_a_bundle_that_gives_other_scores_than_in_training_does_not_pass() -> None:
    got = rule(Gate(), "serves", fault="compare golden scores of toy: off by up to 0.5.")
    assert (got.passed, got.got) == (False, "compare golden scores of toy: off by up to 0.5.")


@pytest.mark.parametrize(("taken", "expected"), [(9.99, True), (10.01, False), (None, False)])
def test_a_model_that_is_too_slow_does_not_pass(taken: float | None, expected: bool) -> None:
    got = rule(Gate(max_latency_ms=10), "latency", latency_ms=taken)
    assert (got.passed, got.expected) == (expected, "at most 10 ms")


def test_a_champion_that_knows_later_days_is_not_replaced() -> None:
    known = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    assert not rule(Gate(), "as of", as_of=known).passed
    assert [
        rule.name for rule in verdict(Gate(), Evidence(metrics={"challenger": {"auc": 1.0}}, as_of=known[::-1]))
    ] == [
        "minimum",
        "serves",
    ]


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
