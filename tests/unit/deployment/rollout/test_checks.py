from __future__ import annotations

import numpy as np
import pytest

from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.checks import carried, judge
from sailplane.deployment.rollout.comparisons import Seen
from sailplane.deployment.rollout.plan import Rollout
from sailplane.serving.observations import LATENCY_BOUNDS, FeedbackTotals, Observations
from tests.unit.deployment.rollout.checked import even, found, histogram, of, outcomes, rewards


def test_more_errors_than_allowed_fail_unless_the_champion_has_them_too() -> None:
    check = ErrorRate(maximum=0.05)
    assert outcomes(check, of(200, 40), of(1800, 360)) == ["passed"]
    assert outcomes(check, of(200, 40), of(1800, 36)) == ["failed"]
    assert outcomes(check, of(200, 5)) == ["passed"]
    (failed,) = found(check, of(200, 40))
    assert str(failed).startswith("error rate: 0.2000 (0.")
    assert str(failed).endswith(" of 200, expected at most 0.05")


def test_errors_that_the_champion_has_too_are_nothing_against_the_new_version() -> None:
    check = ErrorRate(worse_by=0.02)
    assert outcomes(check, of(300, 60), of(2700, 540)) == ["passed"]
    (failed,) = found(check, of(300, 60), of(2700, 135))
    assert failed.outcome == "failed"
    assert failed.check == "error rate against the champion"
    assert failed.champion == 0.05
    assert failed.estimate == pytest.approx(0.15)
    assert failed.low is not None
    assert failed.low > 0.02


def test_both_limits_of_an_error_rate_are_two_findings() -> None:
    both = ErrorRate(maximum=0.3, worse_by=0.02)
    assert outcomes(both, of(300, 60), of(2700, 135)) == ["passed", "failed"]


def test_a_version_that_answers_nothing_but_errors_is_found_out_within_a_few_requests() -> None:
    assert outcomes(ErrorRate(maximum=0.01), of(6, 6), over=False) == ["failed"]
    assert outcomes(ErrorRate(worse_by=0.01), of(8, 8), of(800, 4), over=False) == ["failed"]


def test_more_errors_than_requests_as_counters_may_say_that_are_not_read_at_once_are_all_errors() -> None:
    assert outcomes(ErrorRate(maximum=0.05), of(50, 60), over=False) == ["failed"]
    assert outcomes(ErrorRate(worse_by=0.05), of(50, 60), of(450, 470), over=False) == ["undecided"]
    assert outcomes(ErrorRate(worse_by=0.05), of(50, 60), of(450, -1), over=False) == ["failed"]


def test_a_step_that_goes_on_is_undecided_and_so_is_one_of_too_few_requests() -> None:
    assert outcomes(ErrorRate(), of(5000), over=False) == ["undecided"]
    assert outcomes(ErrorRate(), of(99), of(900)) == ["undecided"]
    assert outcomes(ErrorRate(), of(100), of(900)) == ["passed"]
    assert outcomes(ErrorRate(), of(1000), of(0)) == ["undecided"], "nothing to compare with"


def latencies(random: np.random.Generator, slow: float, count: int = 2000) -> Observations:
    values = np.where(random.random(count) < slow, 0.2, 0.01)
    return of(count, latency=histogram(values, LATENCY_BOUNDS))


def test_a_quantile_above_its_limit_fails_and_one_below_it_does_not() -> None:
    random = np.random.default_rng(0)
    check = Latency(p50="50ms", p99="100ms")
    slow, fast = latencies(random, 0.04), latencies(random, 0.004)
    assert outcomes(check, slow) == ["passed", "failed"]
    assert outcomes(check, fast) == ["passed", "passed"]
    (finding,) = found(Latency(p99="100ms"), slow)
    assert finding.check == "latency p99: share of answers above 100 ms"
    assert (finding.limit, finding.count) == (0.01, 2000)
    assert finding.estimate == pytest.approx(0.04, abs=0.01)


def test_an_answer_that_may_have_been_within_the_limit_is_not_counted_against_the_version() -> None:
    """A limit between two bounds counts as the next bound."""
    at = of(1000, latency=histogram(np.full(1000, 0.035), LATENCY_BOUNDS))
    assert outcomes(Latency(p50="34ms"), at) == ["passed"]
    assert outcomes(Latency(p50="31.5ms"), at) == ["failed"]


def scores(random: np.random.Generator, count: int, a: float, b: float) -> Observations:
    return of(count, predictions=histogram(random.beta(a, b, count)))


@pytest.mark.parametrize("paired", [False, True])
def test_scores_that_are_distributed_otherwise_fail_and_those_like_the_champions_do_not(paired: bool) -> None:
    random = np.random.default_rng(1)
    champion = scores(random, 9000, 2, 5)
    check = PredictionDrift(maximum=0.1)
    assert outcomes(check, scores(random, 1000, 2, 5), champion, paired=paired) == ["passed"]
    (higher,) = found(check, scores(random, 1000, 4, 5), champion, paired=paired)
    (lower,) = found(check, scores(random, 1000, 2, 9), champion, paired=paired)
    assert (higher.outcome, lower.outcome) == ("failed", "failed")
    assert higher.low is not None
    assert higher.high is not None
    assert higher.estimate is not None
    assert higher.turns is not None
    assert 0.1 < higher.low < higher.estimate < higher.high
    assert 0.1 < higher.turns < higher.estimate


def test_a_drift_within_what_is_allowed_is_no_drift() -> None:
    random = np.random.default_rng(2)
    shifted = scores(random, 4000, 2.2, 5)
    assert outcomes(PredictionDrift(maximum=0.1), shifted, scores(random, 40_000, 2, 5)) == ["passed"]


def test_scores_of_other_bounds_cannot_be_compared() -> None:
    random = np.random.default_rng(3)
    other = of(1000, predictions=histogram(random.beta(2, 5, 1000), (0.5,)))
    assert outcomes(PredictionDrift(), other, scores(random, 1000, 2, 5)) == ["undecided"]


def test_a_metric_that_is_worse_than_the_champions_fails_and_a_better_one_does_not() -> None:
    check = Metric(metric="reward", worse_by=0.05)
    assert outcomes(check, rewards(800, 0.3), rewards(7200, 0.5)) == ["failed"]
    assert outcomes(check, rewards(800, 0.7), rewards(7200, 0.5)) == ["passed"]
    assert outcomes(check, rewards(800, 0.47), rewards(7200, 0.5)) == ["passed"], "within what is allowed"
    loss = Metric(metric="reward", worse_by=0.05, more_is_better=False)
    assert outcomes(loss, rewards(800, 0.7), rewards(7200, 0.5)) == ["failed"]


def test_a_metric_keeps_its_own_unit() -> None:
    check = Metric(metric="reward", worse_by=5, low=0, high=100)
    mine, its = (
        of(one, feedback={"reward": FeedbackTotals(count=one, total=one * mean, low=0, high=100)})
        for one, mean in ((1000, 20), (9000, 50))
    )
    (finding,) = found(check, mine, its)
    assert (finding.outcome, finding.limit, finding.champion) == ("failed", 5, 50)
    assert finding.estimate == pytest.approx(30)
    assert finding.low is not None
    assert finding.high is not None
    assert 5 < finding.low < 30 < finding.high


def test_a_metric_of_which_values_lie_outside_what_was_declared_cannot_be_judged_and_fails() -> None:
    check = Metric(metric="reward", worse_by=0.1)
    wild = of(500, feedback={"reward": FeedbackTotals(count=500, total=900, low=-1, high=7)})
    (finding,) = found(check, wild, rewards(4500, 0.5))
    assert finding.outcome == "failed"
    assert "values from -1 to 7, where 0 to 1 was declared" in str(finding)


def test_without_feedback_a_metric_is_undecided() -> None:
    assert outcomes(Metric(metric="reward", worse_by=0.1), of(1000), of(9000)) == ["undecided"]


def test_without_feedback_on_the_champions_answers_a_metric_is_undecided_too() -> None:
    (finding,) = found(Metric(metric="reward", worse_by=0.1), rewards(1000, 0.1), of(9000))
    assert (finding.outcome, finding.count) == ("undecided", 0)


def test_nothing_is_fed_back_on_a_shadows_answers_so_that_a_metric_holds_no_shadow_up() -> None:
    assert outcomes(Metric(metric="reward", worse_by=0.1), of(1000), of(1000), paired=True) == []


def test_a_version_that_is_no_worse_is_hardly_ever_rolled_back_though_all_checks_look_again_and_again() -> None:
    plan = Rollout(
        steps=[10, 100],
        checks=[
            ErrorRate(maximum=0.02, worse_by=0.01),
            Latency(p99="100ms"),
            PredictionDrift(maximum=0.05),
            Metric(metric="reward", worse_by=0.01),
        ],
    )
    random = np.random.default_rng(4)
    failed = 0
    for _ in range(20):
        canary = champion = Observations()
        for _ in range(12):
            canary, champion = canary + looked_at(random, 30), champion + looked_at(random, 270)
            if any(finding.failed for finding in judge(plan, Seen(canary, champion), over=False)):
                failed += 1
                break
    assert failed <= 1


def looked_at(random: np.random.Generator, requests: int) -> Observations:
    rewarded = random.random(requests) < 0.4
    return Observations(
        requests=requests,
        errors=int(random.binomial(requests, 0.02)),
        latency=histogram(np.where(random.random(requests) < 0.01, 0.2, 0.01), LATENCY_BOUNDS),
        predictions=histogram(random.beta(2, 5, requests)),
        feedback={"reward": FeedbackTotals(count=requests, total=float(rewarded.sum()), low=0.0, high=1.0)},
    )


def test_a_step_that_is_too_short_for_blocks_waits_if_independent_requests_would_have_failed() -> None:
    plan = Rollout(steps=[10, 100], checks=[ErrorRate(worse_by=0.01)])
    canary, champion = of(200, 20), of(1800, 18)
    (short,) = judge(plan, Seen(canary, champion, blocks=even(plan, canary, champion, seconds=1)), over=True)
    assert (short.outcome, short.waits) == ("undecided", True)
    assert "too short to tell" in short.explained()
    (good,) = judge(plan, Seen(of(200, 2), champion, blocks=even(plan, of(200, 2), champion, seconds=1)), over=True)
    assert (good.outcome, good.waits) == ("passed", False)


def test_rewards_of_which_none_came_yet_by_chance_are_no_proof() -> None:
    """If one reward in a hundred is 1, 200 requests have none with a probability of 13%."""
    assert outcomes(Metric(metric="reward", worse_by=0.001), rewards(200, 0.0), rewards(19_800, 0.01)) == ["passed"]


def test_the_share_from_which_a_limit_says_that_it_would_fail_is_beyond_the_champions_too() -> None:
    champion = of(18_000, 1800)
    (passed,) = found(ErrorRate(maximum=0.05), of(2000, 200), champion)
    assert passed.outcome == "passed"
    assert passed.turns
    assert passed.turns > 0.1
    for more, outcome in ((0.002, "failed"), (-0.002, "passed")):
        errors = round(2000 * (passed.turns + more))
        assert outcomes(ErrorRate(maximum=0.05), of(2000, errors), champion) == [outcome]


def test_what_a_step_has_left_of_its_level_goes_to_the_next_one_and_evidence_lets_it_grow() -> None:
    good, bad = (
        CheckResult(check=name, count=1, estimate=0.0, limit=0.0, level=0.01, evidence=evidence)
        for name, evidence in (("good", -0.5), ("bad", 0.5))
    )
    left = carried([good, bad])
    assert left["good"] < 0.01 < left["bad"] < 1
    plan = Rollout(steps=[10, 100], checks=[ErrorRate(worse_by=0.01)])
    (found,) = judge(plan, Seen(of(200), of(1800), carried={"error rate against the champion": 0.02}), over=True)
    assert found.level == pytest.approx(plan.level + 0.02)


def test_a_metric_of_which_the_values_are_close_together_needs_fewer_of_them() -> None:
    def close(mean: float, **squares: float) -> Observations:
        return of(400, feedback={"reward": FeedbackTotals(count=400, total=400 * mean, low=0.0, high=1.0, **squares)})

    def known(mean: float) -> Observations:
        return close(mean, squares=400 * (mean**2 + 0.05**2))

    check = Metric(metric="reward", worse_by=0.02)
    assert outcomes(check, known(0.45), known(0.5)) == ["failed"]
    assert outcomes(check, close(0.45), known(0.5)) == ["passed"], "a server of an earlier release counts no squares"
