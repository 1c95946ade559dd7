"""Compares each day's model of a pipeline with its first model and the baseline, and replays the gate's decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sailplane.bundles.bundle import Bundle
from sailplane.errors import ConfigurationError, ModelError
from sailplane.evaluation import slices
from sailplane.evaluation.backtested import Backtest, BacktestedDay, Metrics
from sailplane.evaluation.contenders import labelled_rows
from sailplane.evaluation.daily import DailyEvidence, day_gains, expected_false_promotions, limit_text, needed
from sailplane.evaluation.gate import WITHOUT_INTERVAL, Gate
from sailplane.evaluation.history import Judged, merge_gains
from sailplane.evaluation.intervals import Intervals, clusters_of, clusters_text
from sailplane.evaluation.judge import gain_at_least
from sailplane.evaluation.metrics import metrics
from sailplane.evaluation.verdict import Evidence, reasons, verdict
from sailplane.files import temporary_folder
from sailplane.records import Evaluation, Rule
from sailplane.registry.models import fetch_bundle
from sailplane.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# If a day has several verdicts, backfills and scheduled runs take precedence over runs that a user triggered, whose
# settings may differ.
_KINDS: Final = ("backfill", "scheduled")
# These rules do not depend on the champion, so their result of that day still holds.
_OF_THE_DAY: Final = ("baseline", "serves", "latency")


def backtest(
    storage: Storage, judged: Sequence[Judged], report: Callable[[datetime], None] = lambda _day: None
) -> Backtest:
    """Backtests one model on the recorded verdicts of its DAG runs, in the order of their as-of.

    The recorded verdicts themselves are ignored: those runs compared with the model that serves now, which may have
    been trained on later days. Here the champion is always the model of an earlier day. Raises ModelError for a bundle
    that is missing or damaged.

    :param report: called with each day before it is judged
    """
    runs = one_per_day(judged)
    with temporary_folder() as scratch:
        past, days = _Past(storage, Path(scratch)), []
        for run in runs:
            report(run.day)
            days.append(past.day(run))
    gate = _gate(runs[-1])
    return Backtest(
        model=runs[-1].evaluation.model,
        metric=gate.metric,
        days=tuple(days),
        false_promotions=expected_false_promotions(gate),
        needed=needed(gate.level) if gate.sequential else None,
        limit=limit_text(gate),
    )


def one_per_day(judged: Iterable[Judged]) -> list[Judged]:
    """Keeps one run for each as-of: by the kind of run (`_KINDS`), then the newest verdict."""
    found: dict[datetime, Judged] = {}
    for run in judged:
        other = found.get(run.evaluation.run.as_of)
        if other is None or _rank(run) <= _rank(other):
            found[run.evaluation.run.as_of] = run
    return [found[as_of] for as_of in sorted(found)]


@dataclass(frozen=True)
class _Rows:
    start: datetime
    inputs: pd.DataFrame
    target: NDArray[np.generic]
    days: NDArray[np.generic]


@dataclass(frozen=True)
class _Contender:
    day: datetime
    bundle: Bundle
    evaluation: Evaluation

    def scores(self, rows: _Rows) -> NDArray[np.floating]:
        """Scores the rows. Raises ConfigurationError for rows before its own test window: it was trained or chosen on
        them."""
        run, start = self.evaluation.run, self.evaluation.window.start
        if rows.start < start:
            raise ConfigurationError(
                "judge",
                f"{run.id} on the days from {rows.start:%Y-%m-%d}",
                got=f"it was trained or chosen on days up to {start:%Y-%m-%d}",
                remedy="Leave out the days whose runs had other windows.",
            )
        try:
            return self.bundle.predict(rows.inputs)
        except KeyError as error:
            remedy = "Start on a day after the columns changed."
            raise ModelError("score later rows with", run.id, got=f"they have no {error}", remedy=remedy) from error


class _Past:
    """Replays the days in order. Keeps the first model, the current champion and the gains over that champion."""

    def __init__(self, storage: Storage, scratch: Path) -> None:
        self._storage, self._scratch = storage, scratch
        self._first: _Contender | None = None
        self._champion: _Contender | None = None
        self._gains: dict[str, float] = {}

    def day(self, run: Judged) -> BacktestedDay:
        evaluation, gate, champion = run.evaluation, _gate(run), self._champion
        own = self._contender(run)
        if "challenger" not in evaluation.metrics:
            return self._day_without_model(own, run.dag_run)
        first = self._first = self._first or own
        rows = self._rows(own)
        scores = {"challenger": own.scores(rows)} | ({"champion": champion.scores(rows)} if champion else {})
        # An earlier release may have defined a metric differently, so this release measures both models.
        measured = dict(evaluation.metrics) | {"challenger": metrics(rows.target, scores["challenger"])}
        measured.pop("champion", None)
        if champion:
            measured["champion"] = metrics(rows.target, scores["champion"])
        self._gains = merge_gains([self._gains, day_gains(gate, rows.target, rows.days, scores)])
        daily = DailyEvidence.of(gate, self._gains) if champion else None
        evidence = _evidence(gate, rows, scores, measured, daily)
        rules = _rules(gate, evidence, evaluation)
        if ships := all(rule.passed for rule in rules):
            self._champion, self._gains = own, {}
        return BacktestedDay(
            day=run.day,
            as_of=evaluation.run.as_of,
            dag_run=run.dag_run,
            rows=evaluation.rows,
            pipeline=measured["challenger"],
            frozen=metrics(rows.target, first.scores(rows)),
            baseline=measured.get("baseline"),
            champion=measured.get("champion"),
            champion_day=champion.day if champion else None,
            ships=ships,
            reasons=reasons(gate, evidence, rules),
            dataset=evaluation.run.dataset.version,
            revised=evaluation.run.dataset.revised,
            evidence=daily.evidence if daily else None,
            counted=daily.days if daily else 0,
        )

    def _day_without_model(self, own: _Contender, dag_run: str) -> BacktestedDay:
        """The result of a day whose bundle does not score the rows: the champion stays."""
        evaluation, rows, champion = own.evaluation, self._rows(own), self._champion
        return BacktestedDay(
            day=own.day,
            as_of=evaluation.run.as_of,
            dag_run=dag_run,
            rows=evaluation.rows,
            pipeline=None,
            frozen=_metrics(self._first, rows),
            baseline=evaluation.metrics.get("baseline"),
            champion=_metrics(champion, rows),
            champion_day=champion.day if champion else None,
            ships=False,
            reasons=evaluation.reasons,
            dataset=evaluation.run.dataset.version,
            revised=evaluation.run.dataset.revised,
        )

    def _contender(self, run: Judged) -> _Contender:
        folder = self._scratch / f"{run.evaluation.run.as_of:%Y-%m-%d}"
        return _Contender(run.day, fetch_bundle(self._storage, run.evaluation.run.bundle, folder), run.evaluation)

    def _rows(self, own: _Contender) -> _Rows:
        """The rows on which the run itself was judged."""
        run, window = own.evaluation.run, own.evaluation.window
        return _Rows(window.start, *labelled_rows(self._storage, run, window, own.bundle))


def _metrics(contender: _Contender | None, rows: _Rows) -> Metrics | None:
    return metrics(rows.target, contender.scores(rows)) if contender else None


def _evidence(
    gate: Gate,
    rows: _Rows,
    scores: Mapping[str, NDArray[np.floating]],
    measured: Mapping[str, Metrics],
    daily: DailyEvidence | None,
) -> Evidence:
    known = Intervals.of(clusters_of(gate.cluster, rows.inputs, rows.days), rows.target, scores)
    judged = slices.judged(gate, slices.groups(gate, rows.inputs), rows.target, scores, known.clusters)
    return Evidence(
        metrics=measured,
        gain_at_least=gain_at_least(gate, known, measured),
        daily=daily,
        clusters_text=clusters_text(gate.cluster, known.clusters.count),
        slices=tuple(judged),
    )


def _rules(gate: Gate, evidence: Evidence, evaluation: Evaluation) -> tuple[Rule, ...]:
    compared = [rule for rule in verdict(gate, evidence) if rule.name not in _OF_THE_DAY]
    return (*compared, *(rule for rule in evaluation.rules if rule.name in _OF_THE_DAY))


def _gate(run: Judged) -> Gate:
    """The gate of a run, without settings that an earlier release accepted and this one refuses."""
    refused = WITHOUT_INTERVAL.get(run.gate.get("metric", ""), ())
    return Gate(**{name: value for name, value in run.gate.items() if name not in refused})


def _rank(run: Judged) -> int:
    return _KINDS.index(run.kind) if run.kind in _KINDS else len(_KINDS)
