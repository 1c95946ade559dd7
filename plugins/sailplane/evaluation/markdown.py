"""An evaluation's figures in Markdown, for the person who decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sailplane.evaluation.metrics import by_class
from sailplane.records import Evaluation, Windows


def figures(evaluation: Evaluation, report: str = "") -> str:
    """What was judged on which rows, the metrics of each contender, and each rule of the gate. `report`: a link to the
    page that has more."""
    run = evaluation.run
    trained = Windows.of(run.dataset.interval).train
    told = (
        f"**{_text(evaluation.model)}** as of {run.as_of:%Y-%m-%d}, trained on {trained} and judged on the "
        f"{evaluation.rows:,} rows of {evaluation.window}, which it has not seen."
    )
    parts = [told, _metrics(evaluation), _classes(evaluation), _rules(evaluation)]
    if (offer := evaluation.offer) is not None:
        parts += [f"**{_text(offer.reason)}** The gate lets the baseline serve:", _rules(offer.evaluation)]
    link = f"[The whole report]({report})" if report else ""
    return "\n\n".join(part for part in [*parts, link] if part)


def _metrics(evaluation: Evaluation) -> str:
    names = list(dict.fromkeys(name for metrics in evaluation.metrics.values() for name in metrics))
    rows = [
        [_title(contender, evaluation), *(_number(metrics.get(name)) for name in names)]
        for contender, metrics in evaluation.metrics.items()
    ]
    return _table(["", *names], rows)


def _classes(evaluation: Evaluation) -> str:
    return f"Rows by class: {_text(by_class(evaluation.classes))}." if evaluation.classes else ""


def _rules(evaluation: Evaluation) -> str:
    if not evaluation.rules:
        return "\n".join(f"- {_text(reason)}" for reason in evaluation.reasons)
    told = any(rule.otherwise for rule in evaluation.rules)
    titles = ["", "rule", "got", "expected", *(["what would change it"] if told else [])]
    rows = [
        ["passed" if rule.passed else "failed", rule.name, rule.got, rule.expected, *([rule.otherwise] if told else [])]
        for rule in evaluation.rules
    ]
    notes = "\n".join(f"- {_text(reason)}" for reason in evaluation.reasons[len(evaluation.rules) :])
    return "\n\n".join(part for part in (_table(titles, rows), notes) if part)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head, *body = ([_text(cell) for cell in line] for line in (titles, *rows))
    lines = [head, ["---"] * len(titles), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _title(contender: str, evaluation: Evaluation) -> str:
    return f"{contender} {evaluation.champion}" if contender == "champion" else contender


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _text(text: str) -> str:
    """In a cell or on a line, as it is: no mark-up and no second line."""
    plain = " ".join(text.split())
    for sign in "\\|*_`[]<>":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
