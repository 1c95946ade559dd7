"""A version's model card: templates/card.md with metadata for the Hugging Face Hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sailplane.bundles.bundle import Bundle
from sailplane.records import Model, Run
from sailplane.templates import render

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

# The card's file name beside the bundle. It is not part of the bundle's digest.
CARD: Final = "README.md"
TASK: Final = ("tabular-classification", "Classification of table rows")


def card(model: Model, bundle: Bundle) -> ModelCard:
    """The card, always the same for the same model."""
    # It takes longer to import than most other modules of this room.
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
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(model, bundle)}")


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


def _body(model: Model, bundle: Bundle) -> str:
    evaluation, run = model.evaluation, model.lineage
    measured = dict(evaluation.metrics) if evaluation else {"model": model.metrics}
    return render(
        "registry",
        "card.md",
        model=model,
        evaluation=evaluation,
        run=run,
        manifest=bundle.manifest,
        measured=measured,
        metrics=list(dict.fromkeys(name for values in measured.values() for name in values)),
        lineage=_lineage(model, run) if run else {},
        example=_shell(json.dumps(bundle.example(), separators=(",", ":"))),
    )


def _lineage(model: Model, run: Run) -> dict[str, str]:
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
    return {name: str(fact) for name, fact in facts.items() if fact not in (None, "")}


def _shell(text: str) -> str:
    return text.replace("'", "'\\''")
