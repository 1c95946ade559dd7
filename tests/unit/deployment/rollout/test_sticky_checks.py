from __future__ import annotations

from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.checks import concluded, judge
from sailplane.deployment.rollout.comparisons import Seen
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.quantities import by_group
from sailplane.serving.customer_groups import CustomerGroups
from sailplane.serving.observations import Observations
from tests.unit.deployment.rollout.checked import even, of


def by_customer(requests: int, errors: list[int]) -> Observations:
    """Returns this many requests for each group."""
    groups = CustomerGroups(requests=(requests,) * 64, errors=tuple(errors))
    return of(64 * requests, sum(errors), groups=groups)


def at_a_sticky_step(canary: Observations, champion: Observations, detailed: bool = False) -> CheckResult:
    plan = Rollout(steps=[50, 100], checks=[ErrorRate(worse_by=0.01)], sticky="customer")
    seen = Seen(
        canary,
        champion,
        blocks=even(plan, canary, champion),
        groups=by_group(plan, canary, champion),
        detailed=detailed,
    )
    (finding,) = judge(plan, seen, over=not detailed)
    return finding if detailed else concluded([finding])[0]


def test_at_a_sticky_step_blocks_of_time_and_groups_of_customers_must_both_fail() -> None:
    champion = by_customer(100, [1] * 64)
    everybody, a_few = by_customer(100, [5] * 64), by_customer(100, [64] * 5 + [0] * 59)
    assert everybody.errors == a_few.errors
    worse, different = at_a_sticky_step(everybody, champion), at_a_sticky_step(a_few, champion)
    assert (worse.outcome, different.outcome) == ("failed", "passed")
    assert (worse.groups, different.groups) == (64, 64)
    assert worse.turns is not None
    assert different.turns is not None
    assert worse.turns < 0.04 < different.turns
    assert "40 blocks of time and 64 groups of customers with p = " in worse.explained()
    assert "would pass below" in worse.explained()
    assert "would fail from" in different.explained()


def test_the_estimate_from_which_a_check_says_that_it_would_fail_is_where_it_fails() -> None:
    champion, canary = by_customer(100, [1] * 64), by_customer(100, [3, 0] * 32)
    finding = at_a_sticky_step(canary, champion)
    assert (finding.outcome, finding.turns is not None) == ("passed", True)
    assert finding.turns
    for more, outcome in ((0.002, "failed"), (-0.002, "passed")):
        extra = 100 * (finding.turns + more - (finding.estimate or 0))
        errors = [3 + extra, extra] * 32
        assert at_a_sticky_step(by_customer(100, errors), champion).outcome == outcome  # type: ignore[arg-type]


def test_few_groups_of_customers_do_not_fail_and_it_says_why() -> None:
    champion = by_customer(100, [1] * 64)
    groups = CustomerGroups(requests=(2000, *[0] * 63), errors=(200, *[0] * 63))
    finding = at_a_sticky_step(of(2000, 200, groups=groups), champion)
    assert (finding.outcome, finding.groups, finding.turns) == ("passed", 1, None)
    assert "but too few groups of customers (1) to tell customers from versions" in finding.explained()


def test_a_report_in_the_middle_of_a_sticky_step_has_its_groups_of_customers() -> None:
    finding = at_a_sticky_step(by_customer(100, [1] * 64), by_customer(100, [1] * 64), detailed=True)
    assert (finding.outcome, finding.groups) == ("undecided", 64)


def test_a_version_that_is_better_for_its_customers_has_no_p_value_that_reads_as_too_few() -> None:
    finding = at_a_sticky_step(by_customer(100, [0] * 64), by_customer(100, [50] * 64))
    assert "64 groups of customers with p = 1" in finding.explained()
