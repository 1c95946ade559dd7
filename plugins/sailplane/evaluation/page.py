"""The report of a run: one HTML page. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sailplane.evaluation import charts
from sailplane.evaluation.details import Details, Estimate, Slice, Threshold
from sailplane.evaluation.intervals import FEW, clusters_said
from sailplane.evaluation.markup import Page
from sailplane.evaluation.metrics import by_class
from sailplane.records import Evaluation, Rule, Trial, Windows
from sailplane.sweeps.axes import cut, text
from sailplane.sweeps.charts import AXIS_WIDTH, parallel
from sailplane.sweeps.charts import history as sweep_history
from sailplane.sweeps.results import ranked
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig

LEADERS: Final = 10
# A train function may log under any number of names.
MOST_CURVES: Final = 12


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
    made = Page(f"{evaluation.model}: {'passed' if evaluation.passed else 'not passed'}")
    _summary(made, evaluation)
    _verdict(made, evaluation)
    _metrics(made, evaluation, details)
    _slices(made, details)
    _calibration(made, details)
    _thresholds(made, details)
    _importance(made, details)
    _curves(made, history)
    _sweep(made, evaluation, swept)
    _data(made, evaluation)
    return made.text(stored)


def _summary(made: Page, evaluation: Evaluation) -> None:
    run = evaluation.run
    passed = "The gate lets it serve." if evaluation.passed else "The gate rejected it: nothing new is deployed."
    made.say(passed, "verdict good" if evaluation.passed else "verdict bad")
    if evaluation.offer:
        made.say(evaluation.offer.told, "verdict good")
    if evaluation.held:
        made.say(evaluation.held, "bad")
    made.say(f"Run {run.id}, as of {run.as_of:%Y-%m-%d}, judged on {evaluation.rows:,} rows of {evaluation.window}")
    made.say(_compared(evaluation))


def _compared(evaluation: Evaluation) -> str:
    champion = f"the champion {evaluation.champion}" if evaluation.champion else ""
    baseline = "the baseline" if "baseline" in evaluation.metrics else ""
    others = " and ".join(other for other in (champion, baseline) if other)
    none_yet = "" if champion else "There is no champion yet."
    return " ".join(told for told in (f"Compared with {others}." if others else "", none_yet) if told)


def _verdict(made: Page, evaluation: Evaluation) -> None:
    made.heading("Verdict")
    _rules(made, evaluation.rules)
    offered = evaluation.offer.told if evaluation.offer else None
    for reason in evaluation.reasons[len(evaluation.rules) :]:
        if reason != offered:
            made.say(reason, "note")
    if evaluation.offer:
        made.heading("The baseline as a candidate", 3)
        _rules(made, evaluation.offer.evaluation.rules)


def _rules(made: Page, rules: Sequence[Rule]) -> None:
    told = any(rule.otherwise for rule in rules)
    rows = [["", "", "got", "expected", *(["what would change it"] if told else [])]]
    for rule in rules:
        words = [rule.name, "passed" if rule.passed else "failed", rule.got, rule.expected]
        rows.append([*words, *([rule.otherwise] if told else [])])
    made.table(rows, bad=[place for place, rule in enumerate(rules) if not rule.passed], words=True)


def _metrics(made: Page, evaluation: Evaluation, details: Details) -> None:
    made.heading("Metrics")
    if "challenger" not in evaluation.metrics:
        made.say("The challenger has none: it does not score the test rows.")
    if not evaluation.metrics:
        return
    contenders = [name for name in ("challenger", "champion", "baseline") if name in evaluation.metrics]
    found = {(one.contender, one.metric): one.estimate for one in details.metrics}
    names = list(evaluation.metrics[contenders[0]])
    made.table([["", *contenders], *([name, *(_told(found[who, name]) for who in contenders)] for name in names)])
    if details.differences:
        made.heading("Challenger - other, on the same rows", 3)
        apart = {(one.against, one.metric): one.estimate for one in details.differences}
        others = list(dict.fromkeys(one.against for one in details.differences))
        rows = [[name, *(_told(apart[who, name], sign="+") for who in others)] for name in names]
        made.table([["", *(f"to the {who}" for who in others)], *rows])
    _say_what_intervals_rest_on(made, details)


def _say_what_intervals_rest_on(made: Page, details: Details) -> None:
    made.say("Higher is better for AUC; lower is better for the rest.", "note")
    if details.classes:
        made.say(f"Rows by class: {by_class(details.classes)}.", "note")
    if not details.clusters:
        made.say("In brackets are 95% intervals, bootstrapped by rows.", "note")
        return
    counted = clusters_said(details.gate["cluster"], details.clusters)
    made.say(f"In brackets are 95% intervals from {counted}, which count as independent.", "note")
    if any(one.metric == "calibration_error" and one.estimate.low is not None for one in details.metrics):
        told = (
            "The calibration error is debiased. Its interval counts each row as independent; its difference has none."
        )
        made.say(told, "note")
    if details.clusters < FEW:
        made.say(f"Only {counted}: one unusual one moves these intervals a lot.", "note")


def _slices(made: Page, details: Details) -> None:
    metric = details.gate["metric"]
    for place, (column, found) in enumerate(charts.of_slices(details).items()):
        made.heading(f"Slices by {column}")
        if any(one.challenger for one in found):
            made.figure(f"slices-{place}", charts.slices(metric, found))
        compared = any(one.champion for one in found)
        others = ["champion", "difference", "loss found with 80%"] if compared else []
        titles = [column, "rows", "challenger", *others]
        rows = [[one.value, f"{one.rows:,}", *_figures(one, compared)] for one in found]
        made.table([titles, *rows], bad=[n for n, one in enumerate(found) if one.worse])
        if compared:
            allowed = details.gate["slices"][column]
            made.say(f"The challenger may be worse by {allowed:g}. All slices are judged as one family.", "note")


def _figures(one: Slice, compared: bool) -> list[str]:
    if one.challenger is None:
        return [f"not judged: {one.skipped}", *(["", "", ""] if compared else [])]
    if one.champion is None or one.difference is None:
        return [_told(one.challenger)]
    found = "" if one.detectable is None else f"{one.detectable:.4f}"
    return [_told(one.challenger), _told(one.champion), _told(one.difference, sign="+"), found]


def _calibration(made: Page, details: Details) -> None:
    if not details.calibration:
        return
    made.heading("Calibration")
    made.figure("calibration", charts.calibration(details.calibration))
    made.say("Each point is a tenth of the rows; of several classes, the most probable one counts.", "note")


def _thresholds(made: Page, details: Details) -> None:
    if not details.thresholds:
        return
    made.heading("Thresholds")
    costs, best = details.gate["costs"], details.best_threshold
    if costs and best:
        each = ", ".join(f"a {name.replace('_', ' ')} {cost:g}" for name, cost in costs.items())
        made.say(f"Cheapest: {best.threshold:.4f}, {best.cost:.4f} a row, where {each}.")
        made.say("Chosen on the rows that it is measured on: expect a little more.", "note")
    made.figure("thresholds", charts.thresholds(details.thresholds, best))
    titles = ["from", "flagged", "precision", "recall", *(["cost per row"] if costs else [])]
    made.table([titles, *([*_shares(one), *([f"{one.cost:.4f}"] if costs else [])] for one in details.thresholds)])


def _shares(one: Threshold) -> list[str]:
    precision = "none flagged" if one.precision is None else f"{one.precision:.1%}"
    return [f"{one.threshold:.2f}", f"{one.flagged:.1%}", precision, f"{one.recall:.1%}"]


def _importance(made: Page, details: Details) -> None:
    made.heading("What the model looks at")
    if details.importance:
        made.figure("importance", charts.importance(details.gate["metric"], details.importance))
        left = len(details.importance) - charts.MOST_BARS
        more = f" {left} more columns matter less." if left > 0 else ""
        made.say(f"Permutation importance: columns that say the same share theirs.{more}", "note")
    for note in details.notes:
        made.say(note, "note")


def _curves(made: Page, history: Sequence[Mapping[str, Any]]) -> None:
    known = [row for row in history if charts.is_number(row.get("step"))]
    names = dict.fromkeys(name for row in known for name in row if name != "step" and charts.is_number(row[name]))
    if names:
        made.heading("Training")
    for place, name in enumerate(list(names)[:MOST_CURVES]):
        made.figure(f"curve-{place}", charts.history(name, known))


def _sweep(made: Page, evaluation: Evaluation, swept: Swept | None) -> None:
    leaders = ranked(swept.config, swept.trials) if swept else []
    if swept is None or not leaders:
        return
    config, number = swept.config, evaluation.run.trial
    made.heading("Sweep")
    counted = f"{len(leaders)} of {len(swept.trials)} trials finished"
    made.say(f"{counted}, to {config.goal} {config.metric}; judged is trial {number}.")
    if doubt := warning(config, swept.trials):
        made.say(doubt)
    made.figure("sweep", sweep_history(config, swept.trials, swept.failures))
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    rows = [["trial", config.metric, *(parameter.name for parameter in free)]]
    for trial in leaders[:LEADERS]:
        values = [cut(text(parameter.of(trial.config)), 40) for parameter in free]
        rows.append([str(trial.number), f"{trial.score or 0.0:.5g}", *values])
    made.table(rows)
    if free:
        made.figure("parameters", parallel(config, leaders), width=AXIS_WIDTH * (len(free) + 2))


def _data(made: Page, evaluation: Evaluation) -> None:
    run = evaluation.run
    dataset, windows = run.dataset, Windows.of(run.dataset.interval)
    made.heading("Data and training")
    rows = [
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
    made.table([["", ""], *rows], words=True)


def _told(estimate: Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.4f}"
    if estimate.low is None or estimate.high is None:
        return value
    # A narrow cell breaks before the brackets only.
    return f"{value} ({estimate.low:{sign}.4f}\u00a0to\u00a0{estimate.high:{sign}.4f})"
