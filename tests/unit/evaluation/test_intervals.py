from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sailplane.errors import ConfigurationError
from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.intervals import Intervals, clusters_of, clusters_text
from sailplane.evaluation.metrics import classes, metrics

DAYS = np.repeat(["2026-03-01", "2026-03-02", "2026-03-03"], 2)
ROWS = pd.DataFrame({"plane": ["N1", "N2", None, "N1", None, "N2"]})


def test_rows_come_in_days_in_the_values_of_a_column_or_alone() -> None:
    assert clusters_of("day", ROWS, DAYS).codes.tolist() == [0, 0, 1, 1, 2, 2]
    assert clusters_of("row", ROWS, DAYS).count == 6
    found = clusters_of("plane", ROWS, DAYS).codes.tolist()
    assert (found[0], found[1]) == (found[3], found[5])
    assert len(set(found)) == 4, "each null is a cluster of its own"


def test_a_column_that_is_not_there_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match='cluster by plan: no such column; expected "day", "row" or one of plane'
    ):
        clusters_of("plan", ROWS, DAYS)


def test_clusters_are_named() -> None:
    assert [clusters_text(*one) for one in (("day", 7), ("day", 1), ("row", 6000), ("plane", 4))] == [
        "7 days",
        "1 day",
        "6,000 rows",
        "4 values of plane",
    ]


def drawn(days: int, of_a_day: int, *, own: float = 0.8) -> tuple[Clusters, np.ndarray, dict[str, np.ndarray]]:
    """Draws two equally good models, each with its own daily errors."""
    draw = np.random.default_rng(5)
    day = np.repeat(np.arange(days), of_a_day)
    signal = draw.normal(size=len(day))
    target = (draw.random(len(day)) < 1 / (1 + np.exp(-signal))).astype("float32")
    names = ("challenger", "champion")
    logits = {name: signal * (1 + own * draw.normal(size=days)[day]) for name in names}
    return Clusters(day), target, {name: (1 / (1 + np.exp(-one)))[:, None] for name, one in logits.items()}


def test_the_interval_by_days_is_wider_than_by_rows_where_a_day_errs_as_a_whole() -> None:
    days, target, scores = drawn(7, 800)
    value = metrics(target, scores["challenger"])["auc"] - metrics(target, scores["champion"])["auc"]
    by_day, by_row = (
        Intervals.of(clusters, target, scores).difference("challenger", "champion", "auc", value)
        for clusters in (days, Clusters(np.arange(len(target))))
    )
    widths = [(one.high or 0) - (one.low or 0) for one in (by_day, by_row)]
    assert widths[0] > 3 * widths[1] > 0


def test_a_single_day_has_no_interval() -> None:
    clusters, target, scores = drawn(1, 400)
    known = Intervals.of(clusters, target, scores)
    assert known.estimate("challenger", "auc", 0.7).low is None
    assert known.gain("champion", "auc", 0.1, 0.05, sign=1) is None
    assert known.detectable("champion", "auc", 0.05) is None


def test_the_calibration_error_has_the_interval_of_independent_rows_and_its_difference_has_none() -> None:
    for days in (1, 7):
        known, value = Intervals.of(*(found := drawn(days, 400))), metrics(found[1], found[2]["challenger"])
        got = known.estimate("challenger", "calibration_error", value["calibration_error"])
        assert got.value == value["calibration_error"]
        assert got.low is not None
        assert got.high is not None
        assert got.low <= got.value < got.high
        assert known.difference("challenger", "champion", "calibration_error", 0.01).low is None
        assert known.gain("champion", "calibration_error", 0.01, 0.05, sign=-1) is None


def test_a_metric_stays_within_what_it_can_be() -> None:
    target = np.array([0, 1] * 6, dtype="float32")
    scores = {"challenger": np.where(target == 1, 0.9, 0.1)[:, None]}
    scores["challenger"][0] = 0.95
    found = Intervals.of(Clusters(np.arange(12) // 4), target, scores).estimate("challenger", "auc", 0.9)
    assert found.high == 1.0


def test_a_gain_counts_in_the_direction_in_which_the_metric_is_better() -> None:
    known = Intervals.of(*drawn(7, 200))
    low, high = (known.gain("champion", "brier", 0.0, share, sign=-1) for share in (0.05, 0.95))
    assert low is not None
    assert high is not None
    assert low < 0 < high


def test_the_rows_of_each_class_are_counted() -> None:
    assert classes(np.array([0.0, 1.0, 0.0]), ["late"]) == {"not late": 2, "late": 1}
    assert classes(np.array([2, 0, 2]), ["a", "b", "c"]) == {"a": 1, "b": 0, "c": 2}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"baseline": -0.1}, "the allowed loss, 0 or more, or None"),
        ({"cluster": ""}, '"day", "row" or the name of a column'),
        ({"metric": "calibration_error", "maximum": 0.1, "confidence": 0.95}, "none with calibration_error"),
    ],
)
def test_what_a_gate_cannot_mean_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Gate(**changes)  # type: ignore[arg-type]
