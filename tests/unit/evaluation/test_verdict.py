from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from sailplane.evaluation.daily import DailyEvidence, shown
from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.verdict import Evidence, verdict
from sailplane.records import Rule
from tests.unit.evaluation.ruled import judged, piece, rule


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
