"""The findings of a backtest: the pipeline's models day by day, as JSON and as curves."""

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
    """One run of the pipeline, and every model on the rows that it was judged on.

    `pipeline` is the model of the day, `frozen` the first day's, `champion` the one that the gate had shipped last
    before, on `champion_day`; the gate compared with that one. `dataset` is the version of the data, whose manifest
    names the partitions; `pipeline` is None where that model does not score the rows, and `frozen` as long as none did;
    `evidence` is the e-process of the `counted` days since that champion took over, None where the gate has none;
    `revised` are its days that were corrected since they were first ingested, so that it may hold
    more than was known then."""

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
    """In the order of the days. `metric` is the one that the gate compares.

    `false_promotions` is how many to expect a year, at most, if no model is better than its champion; `needed` is the
    evidence that replaces a champion. Both are None for a gate without a limit. `limit` says this in words."""

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
        """The mean of the metric over the days that have it, by curve: pipeline, frozen first model and baseline."""
        values = {name: [value for value in self.curve(name) if value is not None] for name in CURVES}
        return {name: fmean(known) for name, known in values.items() if known}

    def curve(self, name: str) -> list[float | None]:
        """The metric by day."""
        found = [getattr(day, name) for day in self.days]
        return [None if measured is None else measured[self.metric] for measured in found]
