"""Versions with their own customers: 500 of uneven traffic, drawn anew each time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sailplane.deployment.rollout.blocks import BlockTest
from sailplane.deployment.rollout.customers import Agreed, Groups
from sailplane.deployment.rollout.sequential import Sample

GROUPS, CUSTOMERS, REQUESTS, DRAWS = 64, 500, 30_000, 300
# Three standard errors of a share of 5% in this many draws.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)
TRAFFIC = 1 / np.arange(1, CUSTOMERS + 1)


def rates(kind: str, random: np.random.Generator) -> np.ndarray:
    """Returns the share of bad answers by customer: few customers have many, most have many, or all have about the
    same."""
    return {
        "a few fail often": random.beta(0.25, 50, CUSTOMERS),
        "some always fail": np.where(random.random(CUSTOMERS) < 0.02, 1.0, 0.002),
        "most are unhappy": np.where(random.random(CUSTOMERS) < 0.1, 0.1, 0.9),
        "all are alike": np.full(CUSTOMERS, 0.01),
    }[kind]


def drawn(kind: str, share: float, random: np.random.Generator, harm: float = 0.0) -> tuple[Groups, Sample, Sample]:
    mine, group = random.random(CUSTOMERS) < share, random.integers(0, GROUPS, CUSTOMERS)
    counts = random.poisson(REQUESTS * TRAFFIC / TRAFFIC.sum())
    bad = random.binomial(counts, np.clip(rates(kind, random) + harm * mine, 0, 1))
    columns = [counts * mine, bad * mine, counts * ~mine, bad * ~mine]
    found = np.stack([np.bincount(group, column, GROUPS) for column in columns], axis=1)
    n, x, m, y = found.sum(axis=0).tolist()
    return Groups(found, share), Sample(n, x), Sample(m, y)


def p_values(kind: str, share: float, harm: float = 0.0, tolerance: float = 0.0, draws: int = DRAWS) -> np.ndarray:
    random = np.random.default_rng(5)
    found = [drawn(kind, share, random, harm) for _ in range(draws)]
    return np.array([groups.worse(sample, other, tolerance).p for groups, sample, other in found])


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("kind", ["a few fail often", "some always fail", "most are unhappy", "all are alike"])
def test_different_customers_are_hardly_ever_taken_for_different_versions(kind: str, share: float) -> None:
    assert (p_values(kind, share) < 0.05).mean() <= MOST


def test_a_test_that_takes_requests_for_independent_would_be_wrong_five_times_as_often() -> None:
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(DRAWS):
        _, mine, its = drawn("a few fail often", 0.5, random)
        spread = math.sqrt(sum(one.mean * (1 - one.mean) / one.count for one in (mine, its)))
        wrong += mine.mean - its.mean > 1.645 * spread
    assert wrong / DRAWS > 5 * 0.05


@pytest.mark.parametrize(("share", "found"), [(0.1, 0.4), (0.5, 0.9)])
def test_a_version_that_is_clearly_worse_for_all_customers_is_found(share: float, found: float) -> None:
    assert (p_values("a few fail often", share, harm=0.05, draws=100) < 0.003).mean() >= found


def test_harm_within_the_tolerance_is_not_found() -> None:
    assert (p_values("all are alike", 0.5, harm=0.02, tolerance=0.02) < 0.05).mean() <= MOST


def test_customers_that_are_alike_count_as_their_requests() -> None:
    """The p-value is then close to that of a z-test."""
    random = np.random.default_rng(6)
    groups, mine, its = drawn("all are alike", 0.5, random, harm=0.004)
    pooled = (mine.total + its.total) / (mine.count + its.count)
    z = (mine.mean - its.mean) / math.sqrt(pooled * (1 - pooled) * (1 / mine.count + 1 / its.count))
    found = groups.worse(mine, its, 0.0)
    assert (found.mean - 0.0) / found.spread == pytest.approx(z, rel=0.35)
    assert found.independent > 10


def test_requests_without_a_customer_went_to_a_version_by_chance() -> None:
    nobody = Groups(np.zeros((GROUPS, 4)), 0.5)
    mine, its = Sample(1000, 50), Sample(1000, 20)
    found = nobody.worse(mine, its, 0.0)
    assert (mine.mean - its.mean) / found.spread == pytest.approx(0.03 / math.sqrt(0.035 * 0.965 * 2 / 1000))
    assert found.p < 0.001
    assert nobody.gross(its, 0.3, 0.0) == math.inf


def test_feedback_without_a_customer_may_be_of_one_and_decides_nothing() -> None:
    nobody = Groups(np.zeros((GROUPS, 4)), 0.5, anonymous=False)
    found = nobody.worse(Sample(1000, 500), Sample(1000, 20), 0.0)
    assert (found.p, found.enough) == (1.0, False)


def test_few_groups_decide_nothing() -> None:
    counts = np.zeros((GROUPS, 4))
    counts[:4, :2] = 100, 90
    counts[:, 2:] = 100, 1
    for tested in (
        Groups(counts, 0.05).worse(Sample(400, 360), Sample(6400, 64), 0.0),
        Groups(counts, 0.05).above(Sample(400, 360), Sample(6400, 64), 0.02),
    ):
        assert (tested.blocks, tested.p, tested.enough) == (4, 1.0, False)


def test_a_version_that_fails_for_every_customer_is_found_with_three_of_them_and_one_customers_failure_is_not() -> None:
    counts = np.zeros((GROUPS, 4))
    counts[:, 2:] = 100, 1
    other = Sample(6400, 64)
    counts[:3, :2] = 20, 20
    assert Groups(counts, 0.05).gross(other, 0.31, 0.0) > math.log(1 / 0.001)
    counts[1:8, 1] = 0
    counts[1:8, 0] = 1
    assert Groups(counts, 0.05).gross(other, 0.31, 0.0) < math.log(1 / 0.05)


def test_both_tests_must_fail_and_the_one_that_allows_more_says_from_where() -> None:
    time, customers = BlockTest(40, 0.03, 0.005, 40, 9.0, 1e-6), BlockTest(50, 0.03, 0.02, 12, 0.0, 0.08)
    both = Agreed(time, customers)
    assert Agreed(time).evidence == 9.0
    assert both.evidence == pytest.approx(-math.log(0.08))
    assert both.p == 0.08
    alone, agreed = Agreed(time).bounds(0.01, once=True), both.bounds(0.01, once=True)
    assert alone is not None
    assert agreed is not None
    assert agreed[2] > alone[2]
    assert Agreed(time, BlockTest(3)).bounds(0.01, once=True) is None
