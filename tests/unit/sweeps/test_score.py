from __future__ import annotations

import math

import pytest

from sailplane.errors import TrainingError
from sailplane.sweeps.score import trial_score


@pytest.mark.parametrize(("stops_early", "reported"), [(False, False), (False, True), (True, True)])
def test_the_score_is_the_value_of_the_sweeps_metric(stops_early: bool, reported: bool) -> None:
    values = {"loss": 0.25, "auc": 0.75}
    assert trial_score(3, "auc", values, stops_early=stops_early, reported=reported) == 0.75


def test_a_metric_without_a_value_is_refused_with_those_that_have_one() -> None:
    expected = r"score trial 3: no metric 'auc'; expected the sweep's metric, one of loss, acc. Log it: run.log\("
    with pytest.raises(TrainingError, match=expected):
        trial_score(3, "auc", {"loss": 0.25, "acc": 1.0}, stops_early=True, reported=False)


def test_a_trial_without_reports_cannot_be_stopped_early_and_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"'auc' was never logged, so it cannot stop trials early"):
        trial_score(3, "auc", {"auc": 0.75}, stops_early=True, reported=False)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(TrainingError, match=f"score trial 3: its score is {value}; expected a finite number"):
        trial_score(3, "auc", {"auc": value}, stops_early=False, reported=True)
