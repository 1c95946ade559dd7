from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, xlog1py, xlogy
from scipy.stats import beta as beta_distribution

from sailplane.deployment.rollout.sequential import Sample, difference, evidence_above, evidence_worse, interval

NEEDED = math.log(1 / 0.05)


def by_quadrature(sample: Sample, limit: float) -> float:
    """Returns the mixture over the rates above the limit, by its definition."""
    prior = beta_distribution(0.5, 0.5)
    misses = sample.count - sample.total

    def ratio(rate: float) -> float:
        log = sample.total * math.log(rate / limit) + misses * math.log((1 - rate) / (1 - limit))
        return math.exp(log) * prior.pdf(rate)

    peak = min(max(sample.mean, limit + 1e-6), 1 - 1e-6)
    mass, _ = quad(ratio, limit, 1, points=[peak], limit=400)
    return math.log(mass / prior.sf(limit))


@pytest.mark.parametrize(
    ("count", "total", "limit"), [(10, 3, 0.1), (200, 9, 0.01), (200, 1, 0.05), (50, 12.5, 0.2), (1, 1, 0.01)]
)
def test_the_evidence_is_the_mixture_of_all_rates_above_the_limit(count: int, total: float, limit: float) -> None:
    sample = Sample(count, total)
    assert evidence_above(sample, limit) == pytest.approx(by_quadrature(sample, limit), abs=1e-4)


@given(
    hits=st.integers(0, 10**6),
    misses=st.integers(0, 10**6),
    limit=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-12, 1 - 1e-12])),
)
@settings(deadline=None)
def test_no_counts_and_no_limit_give_evidence_that_is_no_number(hits: int, misses: int, limit: float) -> None:
    sample = Sample(hits + misses, hits)
    evidence = evidence_above(sample, limit)
    assert not math.isnan(evidence)
    if sample.count and sample.mean <= limit:
        assert evidence <= 1e-9


@given(
    mine=st.tuples(st.integers(1, 10**5), st.integers(0, 10**5)),
    its=st.tuples(st.integers(1, 10**5), st.integers(0, 10**5)),
    tolerance=st.floats(0, 1),
    paired=st.booleans(),
)
@settings(deadline=None)
def test_a_sample_that_is_no_worse_is_never_evidence_of_worse(
    mine: tuple[int, int], its: tuple[int, int], tolerance: float, paired: bool
) -> None:
    sample, other = (Sample(count + hits, hits) for count, hits in (mine, its))
    evidence = evidence_worse(sample, other, tolerance, paired=paired)
    assert not math.isnan(evidence)
    if sample.mean <= other.mean + tolerance:
        assert evidence <= 1e-9


def alarms(limit: float, rate: float, looks: int) -> float:
    """Returns the exact probability that a reader who looks after each observation ever sees enough evidence."""
    alive = np.ones(1)
    least = 0
    for count in range(1, looks + 1):
        alive = np.append(alive * (1 - rate), 0.0) + np.insert(alive * rate, 0, 0.0)
        while least <= count and evidence_above(Sample(count, least), limit) < NEEDED:
            least += 1
        alive[least:] = 0.0
    return float(1 - alive.sum())


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "looks"), [(0.01, 3000), (0.2, 1500)])
def test_a_rate_at_its_limit_is_hardly_ever_taken_for_more_though_each_observation_is_looked_at(
    limit: float, looks: int
) -> None:
    assert alarms(limit, limit, looks) <= 0.05
    assert alarms(limit, limit / 2, looks) <= 0.01


@pytest.mark.parametrize(("limit", "rate", "looks"), [(0.01, 0.05, 350), (0.01, 0.5, 8), (0.2, 0.4, 120)])
def test_a_rate_above_its_limit_is_found_within_so_many_observations(limit: float, rate: float, looks: int) -> None:
    assert alarms(limit, rate, looks) >= 0.9


def most_evidence(
    count: float, hits: np.ndarray, other_count: float, other_hits: np.ndarray, *, paired: bool
) -> np.ndarray:
    """Returns an upper bound: the evidence against one common rate, the pooled rate."""
    pooled = (hits + other_hits) / (count + other_count)

    def mixture(count: float, hits: np.ndarray) -> np.ndarray:
        misses = count - hits
        mixed = betaln(0.5 + hits, 0.5 + misses) - betaln(0.5, 0.5)
        return np.asarray(mixed - xlogy(hits, pooled) - xlog1py(misses, -pooled))

    above = mixture(count, hits) - beta_distribution(0.5, 0.5).logsf(pooled)
    if paired:
        return np.logaddexp(above, mixture(other_count, other_hits)) - math.log(2)
    return np.logaddexp(above, 0.0) - math.log(2) + mixture(other_count, other_hits)


def alarmed(hits: np.ndarray, other_hits: np.ndarray, *, share: int, paired: bool = False) -> np.ndarray:
    """Returns in which of the sequences [sequences, looks] enough evidence of worse is ever seen. `share` of the other
    version's observations come with each observation."""
    found = np.zeros(len(hits), dtype=bool)
    for look in range(hits.shape[1]):
        count = look + 1
        possible = most_evidence(count, hits[:, look], share * count, other_hits[:, look], paired=paired)
        for place in np.flatnonzero(~found & (possible >= NEEDED)):
            sample, other = Sample(count, hits[place, look]), Sample(share * count, other_hits[place, look])
            found[place] = evidence_worse(sample, other, 0.0, paired=paired) >= NEEDED
    return found


@pytest.mark.slow
@pytest.mark.parametrize("share", [1, 9])
def test_a_version_like_the_other_is_hardly_ever_taken_for_worse_though_each_observation_is_looked_at(
    share: int,
) -> None:
    random = np.random.default_rng(share)
    shape = (3000, 200)
    hits = np.cumsum(random.random(shape) < 0.1, axis=1)
    other = np.cumsum(random.binomial(share, 0.1, shape), axis=1)
    assert alarmed(hits, other, share=share).mean() <= 0.05


@pytest.mark.slow
def test_so_is_a_shadow_of_which_the_answers_go_with_those_of_the_other() -> None:
    """When one version fails, the other never does. With independent values this would be strong evidence."""
    drawn = np.random.default_rng(2).random((3000, 200))
    hits, other = np.cumsum(drawn < 0.1, axis=1), np.cumsum(drawn > 0.9, axis=1)
    assert alarmed(hits, other, share=1, paired=True).mean() <= 0.05


@pytest.mark.parametrize(("share", "looks"), [(1, 260), (9, 120)])
def test_a_version_that_is_worse_is_found_within_so_many_observations(share: int, looks: int) -> None:
    random = np.random.default_rng(share)
    hits = random.binomial(looks, 0.25, 200)
    other = random.binomial(share * looks, 0.05, 200)
    found = [
        evidence_worse(Sample(looks, mine), Sample(share * looks, its), 0.01) >= NEEDED
        for mine, its in zip(hits, other, strict=True)
    ]
    assert np.mean(found) >= 0.95


@pytest.mark.slow
def test_values_between_0_and_1_count_by_their_sum() -> None:
    random = np.random.default_rng(5)
    totals = np.cumsum(random.beta(2, 8, (400, 300)), axis=1)
    looked = [evidence_above(Sample(count, total), 0.2) for row in totals for count, total in enumerate(row[::10], 1)]
    assert len(looked) == 400 * 30
    over = [
        max(evidence_above(Sample(10 * n + 1, total), 0.2) for n, total in enumerate(row[::10])) >= NEEDED
        for row in totals
    ]
    assert np.mean(over) <= 0.05
    assert evidence_above(Sample(300, 300 * 0.4), 0.2) >= NEEDED


@pytest.mark.slow
def test_an_interval_holds_the_mean_at_every_moment_and_closes_in_on_it() -> None:
    random = np.random.default_rng(6)
    totals = np.cumsum(random.random((300, 400)) < 0.3, axis=1)
    missed = []
    for row in totals:
        bounds = [interval(Sample(count, row[count - 1]), 0.05) for count in range(20, 401, 20)]
        missed.append(any(not low <= 0.3 <= high for low, high in bounds))
    assert np.mean(missed) <= 0.05
    low, high = interval(Sample(10_000, 3000), 0.05)
    assert low < 0.3 < high
    assert high - low < 0.04


@pytest.mark.parametrize(("count", "total"), [(0, 0), (5, 0), (5, 5)])
def test_an_interval_of_all_or_nothing_is_open_on_that_side(count: int, total: int) -> None:
    low, high = interval(Sample(count, total), 0.05)
    assert (low == 0) == (total == 0)
    assert (high == 1) == (total == count)


def test_the_difference_is_ruled_out_where_the_evidence_says_so() -> None:
    sample, other = Sample(500, 60), Sample(5000, 200)
    low, high = difference(sample, other, 0.05)
    assert 0 < low < 0.08 < high
    assert evidence_worse(sample, other, low - 1e-3) > NEEDED > evidence_worse(sample, other, low + 1e-3)
    mirrored = difference(sample.mirrored(), other.mirrored(), 0.05)
    assert mirrored == (pytest.approx(-high, abs=1e-6), pytest.approx(-low, abs=1e-6))
    assert difference(Sample(0, 0), other, 0.05) == (-1.0, 1.0)
