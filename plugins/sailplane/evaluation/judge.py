"""Challenger, baseline and champion on the same rows, that none of them was trained or chosen on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sailplane.datasets import load
from sailplane.datasets.labels import labelled
from sailplane.errors import ModelError
from sailplane.evaluation.gate import MINIMUM, verdict
from sailplane.evaluation.metrics import metrics
from sailplane.records import Evaluation, Model, Run, Windows
from sailplane.registry.bundle import Bundle
from sailplane.registry.models import fetch, fetch_bundle
from sailplane.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def evaluate(
    storage: Storage, *, run: Run, baseline: str | None = None, champion: Model | None = None, minimum: float = MINIMUM
) -> Evaluation:
    """Score each contender, through its own bundle and feature code, on the test window of the run's dataset.

    :param baseline: URI of the baseline's bundle
    :param champion: the version that is served now

    Raises LabelError for a window without labels, DataError for one with a single class, ModelError for a bundle that
    does not load, gives NaN, or predicts something else than the challenger.
    """
    with tempfile.TemporaryDirectory(prefix="sailplane-") as scratch:
        bundles = _bundles(storage, run, baseline, champion, Path(scratch))
        challenger = bundles["challenger"].manifest
        window = Windows.of(run.dataset.interval).test
        rows, target = labelled(
            load(storage, run.dataset, window), challenger.target, challenger.outputs, f"{run.dataset.name} {window}"
        )
        # A feature cannot look at what it is to predict.
        inputs = rows.drop(columns=challenger.target)
        measured = {name: _measure(bundle, inputs, target) for name, bundle in bundles.items()}
    passed, reasons = verdict(measured, minimum=minimum)
    if champion and champion.as_of > run.as_of:
        # It was trained on days that this run must not know: it neither compares fairly nor may be replaced.
        passed = False
        reasons = (*reasons, f"failed: the champion knows the days up to {champion.as_of:%Y-%m-%d}, this run less")
    return Evaluation(
        model=run.model,
        run=run,
        window=window,
        rows=len(rows),
        metrics=measured,
        champion=champion.version if champion else None,
        passed=passed,
        reasons=reasons,
    )


def _bundles(
    storage: Storage, run: Run, baseline: str | None, champion: Model | None, scratch: Path
) -> dict[str, Bundle]:
    bundles = {"challenger": fetch_bundle(storage, run.bundle, scratch / "challenger")}
    if baseline:
        bundles["baseline"] = fetch_bundle(storage, baseline, scratch / "baseline")
    if champion:
        bundles["champion"] = fetch(storage, champion, scratch / "champion")
    expected = bundles["challenger"].manifest
    for name, bundle in bundles.items():
        got = bundle.manifest
        if (got.target, got.outputs) != (expected.target, expected.outputs):
            raise ModelError(
                "compare models of",
                run.model,
                got=f"the {name} predicts {got.target}: {', '.join(got.outputs)}",
                expected=f"{expected.target}: {', '.join(expected.outputs)}",
                remedy="Give the model that predicts something else another name.",
            )
    return bundles


def _measure(bundle: Bundle, inputs: pd.DataFrame, target: NDArray[np.generic]) -> dict[str, float]:
    return metrics(target, bundle.predict(inputs))
