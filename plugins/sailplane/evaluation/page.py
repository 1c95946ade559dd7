"""Renders the report of a run as an HTML page (templates/report.html)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sailplane.evaluation import charts
from sailplane.evaluation.details import Details, Estimate, Slice, Threshold
from sailplane.evaluation.intervals import FEW, clusters_text
from sailplane.evaluation.markup import document
from sailplane.evaluation.metrics import by_class
from sailplane.records import Evaluation, Rule, Trial
from sailplane.sweeps.axes import cut, text
from sailplane.sweeps.charts import Figure
from sailplane.sweeps.charts import history as sweep_history
from sailplane.sweeps.parallel_chart import AXIS_WIDTH, parallel
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.results import ranked
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig

LEADERS: Final = 10
# A train function may log any number of metrics.
MOST_CURVES: Final = 12
# Titles, rows, the indices of the highlighted rows, and whether the cells contain sentences.
Table = tuple[Sequence[str], Sequence[Sequence[str]], Sequence[int], bool]


@dataclass(frozen=True)
class Swept:
    """The sweep that chose the challenger's configuration; `failures` are the reasons, by trial number."""

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
        slices=[
            _slices(details, index, *entry) for index, entry in enumerate(charts.slices_by_column(details).items())
        ],
        most_bars=charts.MOST_BARS,
        curves=list(curves),
        sweep=_sweep(evaluation, swept, leaders) if swept and leaders else None,
        facts=_facts(evaluation),
        **_metrics(evaluation, details),
        **_thresholds(details),
    )


def _figures(details: Details) -> dict[str, Figure]:
    metric, drawn = details.gate["metric"], dict[str, Figure]()
    for index, found in enumerate(charts.slices_by_column(details).values()):
        if any(part.challenger for part in found):
            drawn[f"slices-{index}"] = charts.slices(metric, found)
    if details.calibration:
        drawn["calibration"] = charts.calibration(details.calibration)
    if details.thresholds:
        drawn["thresholds"] = charts.thresholds(details.thresholds, details.best_threshold)
    if details.importance:
        drawn["importance"] = charts.importance(metric, details.importance)
    return drawn


def _rules(rules: Sequence[Rule]) -> Table:
    has_otherwise = any(rule.otherwise for rule in rules)
    titles = ["", "", "got", "expected", *(["what would change it"] if has_otherwise else [])]
    rows = []
    for rule in rules:
        words = [rule.name, "passed" if rule.passed else "failed", rule.got, rule.expected]
        rows.append([*words, *([rule.otherwise] if has_otherwise else [])])
    return titles, rows, [index for index, rule in enumerate(rules) if not rule.passed], True


def _metrics(evaluation: Evaluation, details: Details) -> dict[str, Any]:
    contenders = [name for name in ("challenger", "champion", "baseline") if name in evaluation.metrics]
    names = list(evaluation.metrics[contenders[0]]) if contenders else []
    found = {(known.contender, known.metric): known.estimate for known in details.metrics}
    differences = {(known.against, known.metric): known.estimate for known in details.differences}
    others = list(dict.fromkeys(known.against for known in details.differences))
    intervals = (known.metric == "calibration_error" and known.estimate.low is not None for known in details.metrics)
    return {
        "metrics": (["", *contenders], [[name, *(_shown(found[who, name]) for who in contenders)] for name in names]),
        "differences": (
            ["", *(f"minus {who}" for who in others)],
            [[name, *(_shown(differences[who, name], sign="+") for who in others)] for name in names],
        ),
        "classes": by_class(details.classes),
        "clusters": clusters_text(details.gate["cluster"], details.clusters) if details.clusters else "",
        "few": FEW,
        "has_calibration_interval": any(intervals),
    }


def _slices(details: Details, index: int, column: str, found: Sequence[Slice]) -> dict[str, Any]:
    compared = any(part.champion for part in found)
    others = ["champion", "difference", "loss detected with 80%"] if compared else []
    rows = [[part.value, f"{part.rows:,}", *_estimates(part, compared)] for part in found]
    worse = [row for row, part in enumerate(found) if part.worse]
    return {
        "column": column,
        "figure": f"slices-{index}",
        "table": ([column, "rows", "challenger", *others], rows, worse),
        "allowed": f"{details.gate['slices'][column]:g}" if compared else None,
    }


def _estimates(part: Slice, compared: bool) -> list[str]:
    if part.challenger is None:
        return [f"not judged: {part.skipped}", *(["", "", ""] if compared else [])]
    if part.champion is None or part.difference is None:
        return [_shown(part.challenger)]
    detectable = "" if part.detectable is None else f"{part.detectable:.4f}"
    return [_shown(part.challenger), _shown(part.champion), _shown(part.difference, sign="+"), detectable]


def _thresholds(details: Details) -> dict[str, Any]:
    costs, best = details.gate["costs"], details.best_threshold
    titles = ["from", "flagged", "precision", "recall", *(["cost per row"] if costs else [])]
    rows = [[*_shares(row), *([f"{row.cost:.4f}"] if costs else [])] for row in details.thresholds]
    each = ", ".join(f"a {name.replace('_', ' ')} {cost:g}" for name, cost in (costs or {}).items())
    cheapest = f"Cheapest: {best.threshold:.4f}, {best.cost:.4f} a row, where {each}." if costs and best else None
    return {"thresholds": (titles, rows), "cheapest": cheapest}


def _shares(row: Threshold) -> list[str]:
    precision = "none flagged" if row.precision is None else f"{row.precision:.1%}"
    return [f"{row.threshold:.2f}", f"{row.flagged:.1%}", precision, f"{row.recall:.1%}"]


def _curves(history: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    known = [row for row in history if charts.is_number(row.get("step"))]
    names = dict.fromkeys(name for row in known for name in row if name != "step" and charts.is_number(row[name]))
    return {f"curve-{index}": charts.history(name, known) for index, name in enumerate(list(names)[:MOST_CURVES])}


def _sweep_figures(swept: Swept, leaders: Sequence[Trial]) -> dict[str, Figure]:
    drawn = {"sweep": sweep_history(swept.config, swept.trials, swept.failures)}
    return drawn | ({"parameters": parallel(swept.config, leaders)} if _free(swept.config) else {})


def _sweep(evaluation: Evaluation, swept: Swept, leaders: Sequence[Trial]) -> dict[str, Any]:
    config, free = swept.config, _free(swept.config)
    counted = f"{len(leaders)} of {len(swept.trials)} trials finished"
    rows = []
    for trial in leaders[:LEADERS]:
        values = [cut(text(parameter.of(trial.config)), 40) for parameter in free]
        rows.append([str(trial.number), f"{trial.score or 0.0:.5g}", *values])
    return {
        "summary": f"{counted}, to {config.goal} {config.metric}. The challenger is trial {evaluation.run.trial}.",
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
        ["rows", f"{dataset.rows:,}, and {dataset.quarantined:,} in quarantine"],
        ["corrected days", cut("; ".join(dataset.revised), 600) or "none"],
        ["trained on", str(windows.train)],
        ["chosen on", str(windows.validation)],
        ["judged on", f"{windows.test}: {evaluation.rows:,} rows with a label"],
        ["configuration", cut(text(dict(run.config)), 600)],
        ["seed", str(run.seed)],
        ["training took", f"{run.seconds:,.1f} s"],
    ]


def _shown(estimate: Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.4f}"
    if estimate.low is None or estimate.high is None:
        return value
    # A narrow cell breaks only before the brackets.
    return f"{value} ({estimate.low:{sign}.4f}\u00a0to\u00a0{estimate.high:{sign}.4f})"
