"""The results of a backtest, by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final

from sailplane.records import Record

Metrics = Mapping[str, float]
CURVES: Final = ("pipeline", "frozen", "baseline")


@dataclass(frozen=True, kw_only=True)
class BacktestedDay(Record):
    """One run of the pipeline, and the metrics of each model on the run's test rows.

    :param pipeline: this day's model; None if it does not score the rows
    :param frozen: the first model that scores its rows; None until there is one
    :param champion: the model that the gate shipped last before this day, on `champion_day`; the gate compared with it
    :param dataset: the version of the data; its manifest names the partitions
    :param revised: days of the dataset that were corrected after they were first ingested, so the rows may contain
        more than was known at the time
    :param evidence: the e-process of the `counted` days since the champion took over; None if the gate does not count
        days
    """

    day: datetime
    as_of: datetime
    dag_run: str
    rows: int
    pipeline: Metrics | None
    frozen: Metrics | None
    baseline: Metrics | None
    champion: Metrics | None
    champion_day: datetime | None
    ships: bool
    reasons: tuple[str, ...]
    dataset: str = ""
    revised: tuple[str, ...] = ()
    evidence: float | None = None
    counted: int = 0


@dataclass(frozen=True, kw_only=True)
class Backtest(Record):
    """All days in order.

    :param metric: the metric that the gate compares
    :param false_promotions: the largest expected number a year if no model is better than its champion; None for a
        gate without a limit
    :param needed: the evidence that replaces a champion; None for a gate without a limit
    :param limit: the limit in words
    """

    model: str
    metric: str
    days: tuple[BacktestedDay, ...]
    false_promotions: float | None = None
    needed: float | None = None
    limit: str = ""

    @property
    def shipped(self) -> int:
        return sum(day.ships for day in self.days)

    @property
    def means(self) -> dict[str, float]:
        """The mean of the metric over the days that have a value, by name of the curve."""
        values = {name: [value for value in self.curve(name) if value is not None] for name in CURVES}
        return {name: fmean(known) for name, known in values.items() if known}

    def curve(self, name: str) -> list[float | None]:
        """The metric by day; None for days without a value."""
        measured = [getattr(day, name) for day in self.days]
        return [None if metrics is None else metrics[self.metric] for metrics in measured]
