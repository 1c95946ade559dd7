from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sailplane.evaluation.sequence import false_promotions, log_evidence

LEVEL = 0.05
DAYS = 24
DRAWS = 200

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def promoted(gains: np.ndarray) -> int | None:
    """Returns the number of days until the evidence suffices."""
    needed = math.log(1 / LEVEL)
    days = range(1, len(gains) + 1)
    return next((day for day in days if log_evidence(gains[:day]) >= needed), None)


def share_promoted(draw: Draw, days: int = DAYS, draws: int = DRAWS) -> float:
    gains = draw(np.random.default_rng(1), (draws, days))
    return sum(promoted(one) is not None for one in gains) / draws


@pytest.mark.slow
@pytest.mark.parametrize(
    "draw",
    [
        lambda random, shape: random.normal(0, 0.01, shape),
        lambda random, shape: 0.01 * random.standard_t(3, shape),
        # Days with very different numbers of rows.
        lambda random, shape: random.normal(0, 1, shape) * random.choice([0.01, 0.05], shape),
        lambda random, shape: random.normal(-0.005, 0.01, shape),
    ],
    ids=["normal", "heavy tails", "uneven days", "a worse pipeline"],
)
def test_a_pipeline_that_is_not_better_is_hardly_ever_promoted_in_24_looks(draw: Draw) -> None:
    assert share_promoted(draw) <= LEVEL


@pytest.mark.slow
def test_a_better_pipeline_is_promoted_within_days() -> None:
    """With a daily gain of one standard deviation most are found within 16 days, and 2 within 7."""
    assert share_promoted(lambda random, shape: random.normal(0.01, 0.01, shape), days=16) > 0.7
    assert share_promoted(lambda random, shape: random.normal(0.02, 0.01, shape), days=7) > 0.7


@pytest.mark.slow
def test_an_improvement_after_a_hundred_equal_days_is_found_within_24_more() -> None:
    random = np.random.default_rng(2)
    found = [promoted(np.r_[random.normal(0, 0.01, 100), random.normal(0.02, 0.01, 24)]) for _ in range(20)]
    assert sum(one is not None and one > 100 for one in found) >= 16


def test_years_of_losses_are_evidence_of_nothing_and_no_warning() -> None:
    found = log_evidence([-0.01] * 1000)
    assert -math.inf < found < 0


def test_the_unit_of_the_metric_does_not_matter() -> None:
    gains = np.random.default_rng(3).normal(0.3, 1, 9)
    assert log_evidence(gains) == pytest.approx(log_evidence(gains * 1e-4))


def test_the_evidence_is_a_fair_bet_whatever_the_variance() -> None:
    """Its expectation is 1, over both signs of one day and over all directions of two days."""
    assert np.mean([math.exp(log_evidence([gain])) for gain in (-3.0, 3.0)]) == pytest.approx(1)
    angles = (np.arange(720) + 0.5) * 2 * math.pi / 720
    two = [math.exp(log_evidence([math.cos(angle), math.sin(angle)])) for angle in angles]
    assert np.mean(two) == pytest.approx(1, abs=1e-3)


def test_no_days_and_days_without_any_difference_are_no_evidence() -> None:
    assert log_evidence([]) == 0
    assert log_evidence([0.0] * 30) <= 0


def test_evidence_of_years_is_a_number() -> None:
    assert math.isfinite(log_evidence([0.01, 0.011] * 500))


def test_each_champion_is_replaced_by_mistake_with_the_level_and_so_is_the_next() -> None:
    assert false_promotions(0.05) == pytest.approx(0.05 + 0.05**2 + 0.05**3, abs=1e-5)
