"""Two models of flights on the weeks after their training: how much their difference varies from week to week, compared
with the standard error that each week's interval claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit

from include.flights import data as source
from include.flights import features, model
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.datasets import ingest
from sailplane.datasets.labels import labelled
from sailplane.datasets.schema import fields
from sailplane.evaluation.gate import DAY, ROW
from sailplane.evaluation.intervals import Intervals, clusters_of
from sailplane.evaluation.metrics import metric
from sailplane.records import Interval
from sailplane.storage import Storage
from sailplane.training.data import Data, prepare
from sailplane.training.export import predicted
from sailplane.training.run import RunHandle

AS_OF = datetime(2013, 7, 5, tzinfo=UTC)
WINDOW_DAYS, WEEKS = 184, 25
METRICS = ("auc", "log_loss", "brier")
PAIRS = {
    "two seeds": ("network", "another seed"),
    "another shape": ("network", "wide"),
    "the baseline": ("network", "logistic regression"),
}


class Unkept:
    """Drops the log and the checkpoints of a training."""

    def log(self, metrics: Mapping[str, Any], step: int) -> None: ...

    def keep(self, _file: Path, _kind: str) -> None: ...

    def fetch(self, _file: Path, _kind: str) -> bool:
        return False


@dataclass(frozen=True)
class Week:
    """The rows of a week: `days` [n], and `scores` [n, 1] by model."""

    target: NDArray[np.generic]
    days: NDArray[np.generic]
    scores: Mapping[str, NDArray[np.floating]]


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> list[Week]:
    folder = tmp_path_factory.mktemp("weeks")
    interval = Interval.trailing(AS_OF, WINDOW_DAYS)
    told = {"extract": source.extract, "schema": source.SCHEMA, "time": "scheduled_departure", "interval": interval}
    storage = Storage((folder / "store").as_uri())
    data = prepare(storage, ingest(storage, name="flights", **told), features)
    return list(_weeks(data, _models(data, folder)))


def _models(data: Data, folder: Path) -> dict[str, torch.nn.Module]:
    wide = {"hidden": 128, "embedding": 8, "dropout": 0.1, "epochs": 3}
    return {
        "network": model.train({}, data, _run(folder, 1)),
        "another seed": model.train({}, data, _run(folder, 2)),
        "wide": model.train(wide, data, _run(folder, 3)),
        "logistic regression": model.baseline({}, data, _run(folder, 4)),
    }


def _run(folder: Path, seed: int) -> Any:
    return RunHandle(folder / str(seed), seed=seed, tracked=Unkept(), shelf=Unkept(), verbose=False)


def _weeks(data: Data, models: Mapping[str, torch.nn.Module]) -> Iterator[Week]:
    schema = fields(source.SCHEMA)
    for number in range(WEEKS):
        start = AS_OF + timedelta(weeks=number)
        frame, target = labelled(source.extract(start, start + timedelta(weeks=1)), "late", ("late",), start)
        arrays = features.transform(arrays_of_frame(frame, schema), data.state)
        days = frame["scheduled_departure"].dt.floor("D").to_numpy()
        yield Week(target, days, {name: predicted(one, arrays, 1) for name, one in models.items()})


@dataclass(frozen=True)
class Spread:
    """The variation of one metric for one pair of models. `claimed` is the mean standard error of the intervals,
    `covers` the share of the weeks' 95% intervals that contain the mean of all weeks."""

    measured: float
    claimed: float
    covers: float


def _spread(weeks: list[Week], pair: tuple[str, str], name: str, by: str) -> Spread:
    found = np.array([_difference(week, pair, name, by) for week in weeks])
    apart, error, low, high = found.T
    covers = (low <= apart.mean()) & (apart.mean() <= high)
    return Spread(float(apart.std(ddof=1)), float(error.mean()), float(covers.mean()))


def _difference(week: Week, pair: tuple[str, str], name: str, by: str) -> tuple[float, float, float, float]:
    """Returns the first model's metric minus the second's, its standard error, and the bounds of its 95% interval."""
    one, other = pair
    clusters = clusters_of(by, pd.DataFrame(index=range(len(week.target))), week.days)
    intervals = Intervals.of(clusters, week.target, {model: week.scores[model] for model in pair})
    value = metric(name, week.target, week.scores[one]) - metric(name, week.target, week.scores[other])
    found = intervals.difference(one, other, name, value)
    assert found.low is not None
    assert found.high is not None
    half = (found.high - found.low) / 2
    return value, half / float(stdtrit(clusters.freedom, 0.975)), found.low, found.high


@pytest.mark.parametrize("said", PAIRS)
def test_the_interval_of_a_week_is_about_as_wide_as_weeks_differ_and_rows_alone_are_far_too_narrow(
    weeks: list[Week], said: str
) -> None:
    """Weeks also differ by season, which one week's interval cannot show."""
    for name in METRICS:
        days, rows = (_spread(weeks, PAIRS[said], name, by) for by in (DAY, ROW))
        print(
            f"flights, {said}: {name} difference of a week | sd {days.measured:.4f}, "
            f"claimed by days {days.claimed:.4f}, by rows {rows.claimed:.4f}; "
            f"95% interval by days covers {days.covers:.0%}, by rows {rows.covers:.0%} | {len(weeks)} weeks"
        )
        assert 0.6 <= days.claimed / days.measured <= 1.3
        assert rows.claimed / rows.measured <= 0.5
        assert days.covers >= 0.8
        assert rows.covers <= 0.6
