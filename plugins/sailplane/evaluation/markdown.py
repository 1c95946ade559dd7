"""The figures of an evaluation in Markdown (templates/figures.md), for the person who approves."""

from __future__ import annotations

from sailplane.evaluation.metrics import by_class
from sailplane.records import Evaluation
from sailplane.templates import render


def figures(evaluation: Evaluation, report: str = "") -> str:
    """The model, its test rows, the metrics of each contender, and each rule of the gate. `report` is a link to the
    full report."""
    names = list(dict.fromkeys(name for metrics in evaluation.metrics.values() for name in metrics))
    rows = [
        [_title(contender, evaluation), *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names)]
        for contender, metrics in evaluation.metrics.items()
    ]
    text = render(
        "evaluation",
        "figures.md",
        evaluation=evaluation,
        trained=evaluation.run.dataset.windows.train,
        titles=["", *names],
        metrics=rows,
        classes=by_class(evaluation.classes) if evaluation.classes else "",
        rules_of=_rules,
        report=report,
    )
    return text.strip()


def _rules(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    has_otherwise = any(rule.otherwise for rule in evaluation.rules)
    rows = [
        [
            "passed" if rule.passed else "failed",
            rule.name,
            rule.got,
            rule.expected,
            *([rule.otherwise] if has_otherwise else []),
        ]
        for rule in evaluation.rules
    ]
    return ["", "rule", "got", "expected", *(["what would change it"] if has_otherwise else [])], rows


def _title(contender: str, evaluation: Evaluation) -> str:
    return f"{contender} {evaluation.champion}" if contender == "champion" else contender
