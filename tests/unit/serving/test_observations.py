from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sailplane.deployment.rollout.state import Counted
from sailplane.serving.customer_groups import CustomerGroups
from sailplane.serving.observations import LATENCY_BOUNDS, PREDICTION_BOUNDS, FeedbackTotals, Histogram, Observations

BOUNDS = (0.1, 0.5)
COUNTS = st.integers(0, 1000)
HISTOGRAMS = st.builds(lambda a, b, c: Histogram(bounds=BOUNDS, counts=(a, b, c)), COUNTS, COUNTS, COUNTS)
BY_GROUP = st.one_of(st.just(()), COUNTS.map(lambda count: (count, 2 * count, 0)))
FEEDBACK = st.builds(
    lambda count, counts: FeedbackTotals(
        count=count, total=count / 4, low=0.0, high=1.0, counts=counts, totals=tuple(one / 4 for one in counts)
    ),
    st.integers(1, 100),
    BY_GROUP,
)
GROUPS = st.builds(
    lambda counts, bound: CustomerGroups(requests=counts, errors=counts, answers={bound: counts}),
    BY_GROUP,
    st.sampled_from(["0.1", "0.5"]),
)
SEEN = st.builds(
    Observations,
    requests=COUNTS,
    errors=COUNTS,
    latency=HISTOGRAMS,
    predictions=st.one_of(st.just(Histogram()), HISTOGRAMS),
    feedback=st.dictionaries(st.sampled_from(["reward", "late"]), FEEDBACK),
    groups=GROUPS,
)


@pytest.mark.slow
@given(SEEN, SEEN)
def test_what_came_since_and_what_was_before_are_all_there_is(before: Observations, new: Observations) -> None:
    after = before + new
    since = after.since(before)
    assert (since.requests, since.errors, since.latency) == (new.requests, new.errors, new.latency)
    assert since.predictions.count == new.predictions.count
    assert {name: one.count for name, one in since.feedback.items() if one.count} == {
        name: one.count for name, one in new.feedback.items()
    }
    assert columns(since.groups) == columns(new.groups)


def columns(groups: CustomerGroups) -> dict[str, tuple[int, ...]]:
    found = {"requests": groups.requests, "errors": groups.errors, **groups.answers}
    return {name: counts for name, counts in found.items() if any(counts)}


@pytest.mark.slow
@given(SEEN, SEEN)
def test_counts_add_up_whoever_comes_first_and_cross_json(one: Observations, two: Observations) -> None:
    assert one + two == two + one
    assert Observations.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_server_that_began_anew_counts_from_0() -> None:
    before, after = Observations(started=1.0, requests=10), Observations(started=2.0, requests=12)
    assert after.since(before) == after
    assert Observations(requests=3).since(Observations(requests=10)).requests == 3


def test_feedback_that_other_servers_count_is_seen_once_though_one_of_them_begins_anew() -> None:
    def fed_back(count: int, started: float = 1.0) -> Observations:
        found = {"reward": FeedbackTotals(count=count, total=count / 2, low=0.0, high=1.0)} if count else {}
        return Observations(started=started, requests=1, feedback=found)

    counted = Counted()
    # Two servers counted 60. One of them, which had counted 50, restarts. Then 5 more come, and then its own server
    # restarts.
    for totals in (fed_back(0), fed_back(60), fed_back(10), fed_back(15), fed_back(15, started=2.0)):
        counted = counted.read(totals)
    assert (counted.seen.feedback["reward"].count, counted.seen.feedback["reward"].total) == (65, 32.5)


def test_the_first_reading_is_what_a_phase_begins_with() -> None:
    counted = Counted().read(Observations(requests=500))
    assert counted.seen.requests == 0
    assert counted.read(Observations(requests=507)).seen.requests == 7


def test_what_is_above_a_limit_is_counted_from_the_bound_that_the_limit_is() -> None:
    found = Histogram(bounds=(0.1, 0.2, 0.5), counts=(1, 2, 4, 8))
    assert [found.above(limit) for limit in (0.05, 0.1, 0.15, 0.2, 0.5, 0.6)] == [14, 14, 12, 12, 8, 0]
    assert [found.up_to(place) for place in range(3)] == [1, 3, 7]
    assert Histogram().above(0.1) == 0


@pytest.mark.parametrize("bounds", [LATENCY_BOUNDS, PREDICTION_BOUNDS])
def test_the_bounds_rise_and_a_persons_limits_are_among_those_of_the_latency(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert {0.0005, 0.001, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0} <= {*LATENCY_BOUNDS}
