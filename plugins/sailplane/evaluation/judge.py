"""Judges a challenger: the verdict and the evidence for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from sailplane.bundles.bundle import Bundle
from sailplane.evaluation import diagnostics, offers, slices, unscored
from sailplane.evaluation.contenders import ScoredContenders, contenders, labelled_rows, score_contenders
from sailplane.evaluation.daily import DailyEvidence, day_gains
from sailplane.evaluation.details import Details, Measured, MetricDifference, details_path
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import merge_gains
from sailplane.evaluation.intervals import Intervals, clusters_of, clusters_text
from sailplane.evaluation.metrics import classes
from sailplane.evaluation.serving_check import check_serving
from sailplane.evaluation.verdict import Evidence, reasons, reasons_of, verdict
from sailplane.records import Evaluation, Model, Offer, Run
from sailplane.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def evaluate(
    storage: Storage,
    *,
    run: Run,
    baseline: str | None = None,
    baseline_of: Run | None = None,
    champion: Model | None = None,
    gate: Gate | None = None,
    past: Mapping[str, float] = MappingProxyType({}),
    first: Mapping[str, float] = MappingProxyType({}),
) -> Evaluation:
    """Scores each contender on the test window of the run's dataset, on which none was trained or chosen, and stores
    all details as runs/<run>/evaluation.json. Equal inputs give equal results, to the bit, except for latency.

    :param baseline: URI of the baseline's bundle
    :param baseline_of: the run that trained the baseline. If the rule `baseline` rejects the challenger and the
        baseline itself passes the gate, the verdict offers the baseline; without this run it never does
    :param champion: the version that is served now
    :param past: the gains of the days that earlier evaluations against this champion counted, in their order, from
        `history.counted_gains`
    :param first: the gains with which this DAG run was counted before, from `history.first_gains`. They replace the
        gains of this model

    A challenger that does not score each row, because its graph or feature code raises or gives NaN, is rejected; a
    baseline that does not is left out. Raises LabelError for a window without labels, DataError for one with a single
    class, ModelError for a bundle that is damaged or predicts something else than the challenger, and for a champion
    that does not score each row, ConfigurationError for a slice by a missing column.
    """
    gate = gate or Gate()
    window = run.dataset.windows.test
    with contenders(storage, run, baseline, champion) as found:
        rows, target, days = labelled_rows(storage, run, window, found.challenger)
        groups = slices.groups(gate, rows)
        test = score_contenders(found, rows, target, days)
        known = Intervals.of(clusters_of(gate.cluster, rows, days), target, test.scores)
        offer: Offer | None = None
        found_gains = day_gains(gate, target, days, test.scores)
        own = {day: gain for day, gain in found_gains.items() if day not in past}
        gains = dict(first) or own
        if rules := unscored.rejected(test.unscored):
            sentences, details = reasons_of(rules), _unscored_details(gate, found.challenger, test, known)
        else:
            daily = DailyEvidence.of(gate, merge_gains([past, gains]))
            evidence = _evidence(gate, run, champion, found.challenger, test, known, groups, daily)
            rules = verdict(gate, evidence)
            sentences, details = reasons(gate, evidence, rules), _details(gate, found.challenger, test, known, evidence)
            if trained := offers.candidate(rules, run, baseline_of):
                offer = _offer(gate, trained, champion, found.bundles["baseline"], test, known, groups, days)
    storage.put(details_path(run.id), json.dumps(details.to_dict(), allow_nan=False).encode())
    return Evaluation(
        model=run.model,
        run=run,
        window=window,
        rows=len(rows),
        metrics=test.metrics,
        champion=champion.version if champion else None,
        passed=all(rule.passed for rule in rules),
        reasons=(*sentences, *unscored.notes(test.unscored), *_counted_before(gate, gains, own), *offers.notes(offer)),
        rules=rules,
        details=storage.uri(details_path(run.id)),
        day_gains=gains,
        offer=offer if offer and offer.evaluation.passed else None,
        classes=classes(target, found.challenger.manifest.outputs),
    )


def _counted_before(gate: Gate, gains: Mapping[str, float], own: Mapping[str, float]) -> tuple[str, ...]:
    """A note for the user if the gains of an earlier model count instead of this model's."""
    if gains == own or not gate.sequential:
        return ()
    judged = "for information: this run was judged before on the same data and code. Each day counts once, so"
    return (f"{judged} the evidence has the gains of that first model",)


def _offer(
    gate: Gate,
    trained: Run,
    champion: Model | None,
    baseline: Bundle,
    test: ScoredContenders,
    known: Intervals,
    groups: list[slices.Group],
    days: NDArray[np.generic],
) -> Offer:
    """The baseline, judged as a challenger by all rules except the one about the baseline."""
    run, mine = offers.run_of(trained, baseline), offers.as_challenger(test)
    intervals = Intervals.of(known.clusters, test.target, mine.scores)
    gains = day_gains(gate, test.target, days, mine.scores)
    evidence = _evidence(gate, run, champion, baseline, mine, intervals, groups, DailyEvidence.of(gate, gains))
    rules = verdict(gate, evidence)
    evaluation = Evaluation(
        model=run.model,
        run=run,
        window=run.dataset.windows.test,
        rows=len(test.rows),
        metrics=mine.metrics,
        champion=champion.version if champion else None,
        passed=all(rule.passed for rule in rules),
        # The limit on false promotions covers only challengers; each offer is judged by its own window.
        reasons=(*reasons_of(rules), offers.reason(gate, test)),
        rules=rules,
    )
    return Offer(reason=offers.reason(gate, test), evaluation=evaluation)


def _evidence(
    gate: Gate,
    run: Run,
    champion: Model | None,
    challenger: Bundle,
    test: ScoredContenders,
    known: Intervals,
    groups: list[slices.Group],
    daily: DailyEvidence | None,
) -> Evidence:
    fault, latency_ms = check_serving(challenger)
    return Evidence(
        metrics=test.metrics,
        gain_at_least=gain_at_least(gate, known, test.metrics),
        daily=daily,
        over_baseline_at_most=over_baseline_at_most(gate, known, test.metrics),
        clusters_text=clusters_text(gate.cluster, known.clusters.count),
        slices=tuple(slices.judged(gate, groups, test.target, test.known("challenger", "champion"), known.clusters)),
        fault=fault,
        latency_ms=latency_ms,
        as_of=(run.as_of, champion.as_of) if champion else None,
    )


def gain_at_least(gate: Gate, known: Intervals, metrics: Mapping[str, Mapping[str, float]]) -> float | None:
    """The lower bound of the gain over the champion, at the gate's confidence."""
    if gate.confidence is None or "champion" not in known.influences:
        return None
    return known.gain("champion", gate.metric, _gain(gate, metrics, "champion"), 1 - gate.confidence, sign=gate.sign)


def over_baseline_at_most(gate: Gate, known: Intervals, metrics: Mapping[str, Mapping[str, float]]) -> float | None:
    """The upper bound of the one-sided interval of the gain over the baseline."""
    if "baseline" not in known.influences:
        return None
    return known.gain("baseline", gate.metric, _gain(gate, metrics, "baseline"), 1 - gate.level, sign=gate.sign)


def _gain(gate: Gate, metrics: Mapping[str, Mapping[str, float]], other: str) -> float:
    return gate.gain(metrics["challenger"][gate.metric] - metrics[other][gate.metric])


def _details(gate: Gate, challenger: Bundle, test: ScoredContenders, known: Intervals, evidence: Evidence) -> Details:
    listed, cheapest = diagnostics.thresholds(test.target, test.scores["challenger"], gate.costs)
    importance, note = diagnostics.importance(gate, challenger, test.rows, test.target)
    return Details(
        gate=asdict(gate),
        metrics=_measured(test, known),
        differences=_differences(test, known),
        slices=tuple(evidence.slices),
        calibration=diagnostics.calibration(test.target, test.known("challenger", "champion")),
        thresholds=listed,
        best_threshold=cheapest,
        importance=importance,
        latency_ms=evidence.latency_ms,
        notes=(note,) if note else (),
        clusters=known.clusters.count,
        classes=classes(test.target, challenger.manifest.outputs),
    )


def _unscored_details(gate: Gate, challenger: Bundle, test: ScoredContenders, known: Intervals) -> Details:
    """The details if the challenger has no scores: the figures of the other contenders."""
    return Details(
        gate=asdict(gate),
        metrics=_measured(test, known),
        differences=(),
        slices=(),
        calibration=diagnostics.calibration(test.target, test.known("champion")),
        thresholds=(),
        best_threshold=None,
        importance=(),
        latency_ms=None,
        notes=("importance: the model does not score the test rows",),
        clusters=known.clusters.count,
        classes=classes(test.target, challenger.manifest.outputs),
    )


def _measured(test: ScoredContenders, known: Intervals) -> tuple[Measured, ...]:
    return tuple(
        Measured(contender=name, metric=metric, estimate=known.estimate(name, metric, value))
        for name, values in test.metrics.items()
        for metric, value in values.items()
    )


def _differences(test: ScoredContenders, known: Intervals) -> tuple[MetricDifference, ...]:
    """The challenger minus each of the others."""
    mine = test.metrics["challenger"]
    return tuple(
        MetricDifference(
            against=name,
            metric=metric,
            estimate=known.difference("challenger", name, metric, mine[metric] - value),
        )
        for name in ("champion", "baseline")
        if name in test.metrics
        for metric, value in test.metrics[name].items()
    )
