"""A version's model card: Markdown for people, with the metadata that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from sailplane.bundles.bundle import Bundle
from sailplane.records import Evaluation, Model, Run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

# Where it lies beside the bundle, of whose digest it is no part.
CARD: Final = "README.md"
TASK: Final = ("tabular-classification", "Classification of table rows")


def card(model: Model, bundle: Bundle) -> ModelCard:
    """The same model gives the same card."""
    # It takes longer to import than most of what else is in this room.
    from huggingface_hub import ModelCard, ModelCardData

    results = _results(model)
    data = ModelCardData(
        library_name="onnx",
        tags=["sailplane", "onnx", TASK[0]],
        datasets=[model.lineage.dataset.name] if model.lineage else None,
        metrics=sorted({result.metric_type for result in results}),
        model_name=model.name,
        eval_results=results,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_body(model, bundle)))


def _results(model: Model) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    dataset = model.lineage.dataset if model.lineage else None
    about: dict[str, Any] = {
        "task_type": TASK[0],
        "task_name": TASK[1],
        "dataset_type": dataset.name if dataset else model.name,
        "dataset_name": dataset.name if dataset else model.dataset,
        "dataset_revision": model.dataset,
        "dataset_split": f"test {model.evaluation.window}" if model.evaluation else "validation",
    }
    return [EvalResult(**about, metric_type=name, metric_value=value) for name, value in sorted(model.metrics.items())]


def _body(model: Model, bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    yield f"# {model.name} {model.version}\n"
    yield f"Predicts `{manifest.target}`: the probability of {_listed(manifest.outputs)}, from one row of a table.\n"
    yield "## Intended use\n"
    yield (
        f"Rows like those that it was trained on, known up to {model.as_of:%Y-%m-%d}. It says nothing of why, and knows"
        " nothing of what changed in the world since. Check it on your own rows before decisions rest on it.\n"
    )
    if model.lineage:
        yield from _data(model.lineage)
    yield from _metrics(model)
    if model.evaluation:
        yield from _verdict(model.evaluation)
    if model.lineage:
        yield from _lineage(model, model.lineage)
    yield from _use(bundle)


def _data(run: Run) -> Iterator[str]:
    dataset = run.dataset
    yield "## Data\n"
    bad = f"; {dataset.quarantined} more did not fit the schema and were left out" if dataset.quarantined else ""
    yield f"`{dataset.name}`, version `{dataset.version}`: {dataset.rows} rows of {dataset.interval}{bad}.\n"
    if dataset.revised:
        yield f"Days corrected since they were first ingested: {'; '.join(dataset.revised)}.\n"


def _metrics(model: Model) -> Iterator[str]:
    measured = dict(model.evaluation.metrics) if model.evaluation else {"model": model.metrics}
    yield "## Metrics\n"
    if model.evaluation:
        yield f"On {model.evaluation.rows} rows of {model.evaluation.window}, which neither training nor search saw:\n"
    yield f"| metric | {' | '.join(measured)} |"
    yield f"|---|{'---:|' * len(measured)}"
    for name in dict.fromkeys(name for values in measured.values() for name in values):
        yield f"| {name} | {' | '.join(_number(values.get(name)) for values in measured.values())} |"
    yield ""


def _verdict(evaluation: Evaluation) -> Iterator[str]:
    yield f"## Verdict: {'passed' if evaluation.passed else 'not passed'}\n"
    yield from (f"- {_line(reason)}" for reason in evaluation.reasons)
    yield ""
    approval = getattr(evaluation, "approval", None)
    if approval is not None:
        said = "Approved" if approval.approved else "Rejected"
        yield f"{said} by {_line(approval.by)} on {approval.at:%Y-%m-%d %H:%M} UTC.\n"
        yield from (f"> {line}" for line in approval.note.splitlines())
        yield ""


def _lineage(model: Model, run: Run) -> Iterator[str]:
    facts: dict[str, Any] = {
        "run": run.id,
        "sweep": f"{run.sweep}, trial {run.trial}" if run.sweep else None,
        "as of": f"{run.as_of:%Y-%m-%d}",
        "train function": run.train,
        "features": run.features,
        "configuration": json.dumps(dict(run.config), sort_keys=True),
        "seed": run.seed,
        "dataset version": run.dataset.version,
        "code (SHA-256)": run.code,
        "packages (SHA-256)": run.environment,
        "device": run.device,
        "bundle (SHA-256)": model.digest,
    }
    yield "## Lineage\n"
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | `{_line(str(fact))}` |" for name, fact in facts.items() if fact not in (None, ""))
    yield f"\n`sailplane reproduce {model.name}@{model.version}` trains it again from these.\n"


def _use(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    yield "## How to use it\n"
    yield "| field | kind | may be null | the model reads it | checks of a request |"
    yield "|---|---|---|---|---|"
    for field in manifest.inputs:
        flags = ["yes" if flag else "no" for flag in (field.nullable, field.required)]
        checks = "; ".join(check.says for check in field.checks)
        yield f"| {_line(field.name)} | {field.kind} | {' | '.join(flags)} | {_line(checks)} |"
    yield "\nA request may leave out a field that may be null, and one that the model does not read.\n"
    if manifest.unchecked:
        yield "Checks of the training rows that are not applied to requests:\n"
        yield from (f"- {_line(told)}" for told in manifest.unchecked)
    yield f"""
With Sailplane, from this folder:

```python
from pathlib import Path

from sailplane.bundles.bundle import Bundle

bundle = Bundle.open(Path("."))
print(bundle.predict(bundle.frame(bundle.golden_records)))
```

Without it: `features.transform`, with the rows and `state.json`, gives the arrays that `model.onnx` takes by name.
Where it is served:

```
sailplane predict {manifest.model} --json '{_shell(json.dumps(bundle.example(), separators=(",", ":")))}'
```
"""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _line(text: str) -> str:
    """In a table, or a list, of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def _shell(text: str) -> str:
    return text.replace("'", "'\\''")
