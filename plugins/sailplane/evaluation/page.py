"""The report of a run: one HTML page, templates/report.html. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sailplane.evaluation import charts
from sailplane.evaluation.details import Details, Estimate, Slice, Threshold
from sailplane.evaluation.intervals import FEW, clusters_said
from sailplane.evaluation.markup import document
from sailplane.evaluation.metrics import by_class
from sailplane.records import Evaluation, Rule, Trial
from sailplane.sweeps.axes import cut, text
from sailplane.sweeps.charts import AXIS_WIDTH, Figure, parallel
from sailplane.sweeps.charts import history as sweep_history
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.results import ranked
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig

LEADERS: Final = 10
# A train function may log under any number of names.
MOST_CURVES: Final = 12
# Titles, rows, the numbers of the rows that stand out, and whether it is a table of words.
Table = tuple[Sequence[str], Sequence[Sequence[str]], Sequence[int], bool]


@dataclass(frozen=True)
class Swept:
    """The sweep that chose the challenger's configuration; `failures` are reasons by the trial's number."""

    config: SweepConfig
    trials: tuple[Trial, ...]
    failures: Mapping[int, str]


def page(
    evaluation: Evaluation,
    details: Details,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    swept: Swept | None = None,
    stored: str | None = None,
) -> str:
    """`history` are the rows that the training logged; `stored` is the path of the page on the store."""
    curves = _curves(history)
    leaders = ranked(swept.config, swept.trials) if swept else []
    sweep = _sweep_figures(swept, leaders) if swept and leaders else {}
    offer = evaluation.offer
    return document(
        "report.html",
        f"{evaluation.model}: {'passed' if evaluation.passed else 'not passed'}",
        {**_figures(details), **curves, **sweep},
        stored=stored,
        evaluation=evaluation,
        details=details,
        rules=_rules(evaluation.rules),
        remarks=[text for text in evaluation.reasons[len(evaluation.rules) :] if not offer or text != offer.message],
        offered_rules=_rules(offer.evaluation.rules) if offer else None,
        slices=[_slices(details, *numbered) for numbered in enumerate(charts.of_slices(details).items())],
        most_bars=charts.MOST_BARS,
        curves=list(curves),
        sweep=_sweep(evaluation, swept, leaders) if swept and leaders else None,
        facts=_facts(evaluation),
        **_metrics(evaluation, details),
        **_thresholds(details),
    )


def _figures(details: Details) -> dict[str, Figure]:
    metric, made = details.gate["metric"], dict[str, Figure]()
    for place, found in enumerate(charts.of_slices(details).values()):
        if any(one.challenger for one in found):
            made[f"slices-{place}"] = charts.slices(metric, found)
    if details.calibration:
        made["calibration"] = charts.calibration(details.calibration)
    if details.thresholds:
        made["thresholds"] = charts.thresholds(details.thresholds, details.best_threshold)
    if details.importance:
        made["importance"] = charts.importance(metric, details.importance)
    return made


def _rules(rules: Sequence[Rule]) -> Table:
    told = any(rule.otherwise for rule in rules)
    titles = ["", "", "got", "expected", *(["what would change it"] if told else [])]
    rows = []
    for rule in rules:
        words = [rule.name, "passed" if rule.passed else "failed", rule.got, rule.expected]
        rows.append([*words, *([rule.otherwise] if told else [])])
    return titles, rows, [place for place, rule in enumerate(rules) if not rule.passed], True


def _metrics(evaluation: Evaluation, details: Details) -> dict[str, Any]:
    contenders = [name for name in ("challenger", "champion", "baseline") if name in evaluation.metrics]
    names = list(evaluation.metrics[contenders[0]]) if contenders else []
    found = {(one.contender, one.metric): one.estimate for one in details.metrics}
    apart = {(one.against, one.metric): one.estimate for one in details.differences}
    others = list(dict.fromkeys(one.against for one in details.differences))
    intervals = (one.metric == "calibration_error" and one.estimate.low is not None for one in details.metrics)
    return {
        "metrics": (["", *contenders], [[name, *(_told(found[who, name]) for who in contenders)] for name in names]),
        "differences": (
            ["", *(f"to the {who}" for who in others)],
            [[name, *(_told(apart[who, name], sign="+") for who in others)] for name in names],
        ),
        "classes": by_class(details.classes),
        "clusters": clusters_said(details.gate["cluster"], details.clusters) if details.clusters else "",
        "few": FEW,
        "has_calibration_interval": any(intervals),
    }


def _slices(details: Details, place: int, of: tuple[str, Sequence[Slice]]) -> dict[str, Any]:
    column, found = of
    compared = any(one.champion for one in found)
    others = ["champion", "difference", "loss found with 80%"] if compared else []
    rows = [[one.value, f"{one.rows:,}", *_estimates(one, compared)] for one in found]
    worse = [n for n, one in enumerate(found) if one.worse]
    return {
        "column": column,
        "figure": f"slices-{place}",
        "table": ([column, "rows", "challenger", *others], rows, worse),
        "allowed": f"{details.gate['slices'][column]:g}" if compared else None,
    }


def _estimates(one: Slice, compared: bool) -> list[str]:
    if one.challenger is None:
        return [f"not judged: {one.skipped}", *(["", "", ""] if compared else [])]
    if one.champion is None or one.difference is None:
        return [_told(one.challenger)]
    found = "" if one.detectable is None else f"{one.detectable:.4f}"
    return [_told(one.challenger), _told(one.champion), _told(one.difference, sign="+"), found]


def _thresholds(details: Details) -> dict[str, Any]:
    costs, best = details.gate["costs"], details.best_threshold
    titles = ["from", "flagged", "precision", "recall", *(["cost per row"] if costs else [])]
    rows = [[*_shares(one), *([f"{one.cost:.4f}"] if costs else [])] for one in details.thresholds]
    each = ", ".join(f"a {name.replace('_', ' ')} {cost:g}" for name, cost in (costs or {}).items())
    told = f"Cheapest: {best.threshold:.4f}, {best.cost:.4f} a row, where {each}." if costs and best else None
    return {"thresholds": (titles, rows), "cheapest": told}


def _shares(one: Threshold) -> list[str]:
    precision = "none flagged" if one.precision is None else f"{one.precision:.1%}"
    return [f"{one.threshold:.2f}", f"{one.flagged:.1%}", precision, f"{one.recall:.1%}"]


def _curves(history: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    known = [row for row in history if charts.is_number(row.get("step"))]
    names = dict.fromkeys(name for row in known for name in row if name != "step" and charts.is_number(row[name]))
    return {f"curve-{place}": charts.history(name, known) for place, name in enumerate(list(names)[:MOST_CURVES])}


def _sweep_figures(swept: Swept, leaders: Sequence[Trial]) -> dict[str, Figure]:
    made = {"sweep": sweep_history(swept.config, swept.trials, swept.failures)}
    return made | ({"parameters": parallel(swept.config, leaders)} if _free(swept.config) else {})


def _sweep(evaluation: Evaluation, swept: Swept, leaders: Sequence[Trial]) -> dict[str, Any]:
    config, free = swept.config, _free(swept.config)
    counted = f"{len(leaders)} of {len(swept.trials)} trials finished"
    rows = []
    for trial in leaders[:LEADERS]:
        values = [cut(text(parameter.of(trial.config)), 40) for parameter in free]
        rows.append([str(trial.number), f"{trial.score or 0.0:.5g}", *values])
    return {
        "told": f"{counted}, to {config.goal} {config.metric}; judged is trial {evaluation.run.trial}.",
        "doubt": warning(config, swept.trials),
        "leaders": (["trial", config.metric, *(parameter.name for parameter in free)], rows),
        "width": AXIS_WIDTH * (len(free) + 2),
    }


def _free(config: SweepConfig) -> list[Parameter]:
    return [parameter for parameter in config.parameters if parameter.distribution != "constant"]


def _facts(evaluation: Evaluation) -> list[list[str]]:
    run = evaluation.run
    dataset, windows = run.dataset, run.dataset.windows
    return [
        ["dataset", f"{dataset.name} {dataset.version}"],
        ["rows", f"{dataset.rows:,}, {dataset.quarantined:,} more in quarantine"],
        ["corrected days", cut("; ".join(dataset.revised), 600) or "none"],
        ["trained on", str(windows.train)],
        ["chosen on", str(windows.validation)],
        ["judged on", f"{windows.test}: {evaluation.rows:,} rows with a label"],
        ["configuration", cut(text(dict(run.config)), 600)],
        ["seed", str(run.seed)],
        ["training took", f"{run.seconds:,.1f} s"],
    ]


def _told(estimate: Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.4f}"
    if estimate.low is None or estimate.high is None:
        return value
    # A narrow cell breaks before the brackets only.
    return f"{value} ({estimate.low:{sign}.4f}\u00a0to\u00a0{estimate.high:{sign}.4f})"
