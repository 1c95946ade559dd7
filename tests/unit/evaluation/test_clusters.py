from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import nct, t

from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.influence import influence
from sailplane.evaluation.metrics import metrics
from tests.executed import lines
from tests.unit.evaluation.days import METRICS, Days, outside


@pytest.mark.parametrize("classes", [2, 4])
def test_an_influence_is_the_slope_of_the_metric_in_the_weight_of_the_row(classes: int) -> None:
    """Compares the influence with scikit-learn's metric after one more copy of a row."""
    target, (probability, _), _ = Days([400], classes=classes).draw(np.random.default_rng(0))
    probability = probability.round(2) + 0.001
    found, before = influence(target, probability), metrics(target, probability)
    for row in range(0, 400, 40):
        places = np.r_[np.arange(400), row]
        after = metrics(target[places], probability[places])
        for name in METRICS:
            assert found[name].mean() == pytest.approx(0, abs=1e-12)
            assert 401 * (after[name] - before[name]) == pytest.approx(found[name][row], rel=0.05, abs=0.01)


def test_clusters_of_equal_size_give_a_t_interval_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=70)
    means = values.reshape(7, 10).mean(axis=1)
    days = Clusters.of(np.repeat(np.arange(7), 10))
    expected = values.mean() + t.ppf(0.999, 6) * means.std(ddof=1) / np.sqrt(7)
    assert days.bound(values.mean(), values - values.mean(), 0.999) == pytest.approx(expected)


def test_clusters_of_unequal_size_have_fewer_degrees_of_freedom() -> None:
    assert Clusters.of(np.repeat(np.arange(7), [3000] + [300] * 6)).freedom < 2
    assert Clusters.of(np.arange(5000)).freedom == pytest.approx(4999)


def test_a_single_cluster_has_no_bound() -> None:
    one = Clusters.of(np.zeros(50, dtype=int))
    assert (one.count, one.bound(0.5, np.zeros(50), 0.95)) == (1, None)


def test_a_model_differs_from_itself_by_nothing() -> None:
    days = Clusters.of(np.repeat(np.arange(7), 10))
    assert (days.bound(0.0, np.zeros(70), 0.025), days.bound(0.0, np.zeros(70), 0.975)) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "days",
    [Days([60] * 7), Days([60] * 7, own=0.5), Days([200, *[20] * 6], own=0.5)],
    ids=["no day effect", "day errors of each model's own", "days of unequal size"],
)
def test_intervals_cover_and_false_promotions_are_rare(days: Days) -> None:
    """300 draws: at most 5%, give or take chance (three standard errors are 3.8%)."""
    for both, one in outside(days, draws=300, seed=1).values():
        assert both <= 0.088
        assert one <= 0.088


@pytest.mark.parametrize("level", [0.05, 0.002])
def test_the_detectable_value_is_found_with_its_probability_also_at_a_low_level(level: float) -> None:
    """A test at 0.002 and 7 days found only 76% of losses as large as the sum of two t quantiles."""
    days, rows = Clusters.of(np.repeat(np.arange(7), 10)), np.random.default_rng(3).normal(size=70)
    errors = (days.detectable(rows - rows.mean(), level, 0.8) or 0.0) / days.error(rows - rows.mean())
    assert nct.sf(stdtrit(6, 1 - level), 6, errors) == pytest.approx(0.8, abs=1e-6)
    assert Clusters.of(np.zeros(9)).detectable(np.zeros(9), level, 0.8) is None


def test_no_line_is_executed_for_each_row() -> None:
    target, (probability, _), days = Days([860] * 7).draw(np.random.default_rng(0))
    assert lines(lambda: [days.bound(0.5, rows, 0.95) for rows in influence(target, probability).values()]) < len(
        target
    )
