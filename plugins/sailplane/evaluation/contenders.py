"""Scores challenger, baseline and champion on the same rows, each with its own bundle and feature code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sailplane.bundles.bundle import Bundle
from sailplane.datasets import load
from sailplane.datasets.labels import labelled
from sailplane.datasets.versions import partitions_of
from sailplane.errors import ModelError, SailplaneError, StorageError
from sailplane.evaluation.metrics import metrics
from sailplane.evaluation.unscored import scored
from sailplane.files import temporary_folder
from sailplane.records import Interval, Model, Run
from sailplane.registry.models import fetch, fetch_bundle
from sailplane.storage import Storage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Contenders:
    """The bundles by contender: `challenger`, and `baseline` and `champion` if they exist."""

    bundles: Mapping[str, Bundle]
    champion: Model | None

    @property
    def challenger(self) -> Bundle:
        return self.bundles["challenger"]


@dataclass(frozen=True)
class ScoredContenders:
    """Labelled rows without their labels, the labels, the day of each row, and each contender's scores and metrics.
    `unscored` says why a contender has no scores."""

    rows: pd.DataFrame
    target: NDArray[np.generic]
    days: NDArray[np.generic]
    scores: Mapping[str, NDArray[np.floating]]
    metrics: Mapping[str, Mapping[str, float]]
    unscored: Mapping[str, str] = field(default_factory=dict)

    def known(self, *contenders: str) -> dict[str, NDArray[np.floating]]:
        """The scores of those contenders that have scores."""
        return {name: self.scores[name] for name in contenders if name in self.scores}


@contextmanager
def contenders(storage: Storage, run: Run, baseline: str | None, champion: Model | None) -> Iterator[Contenders]:
    """Fetches the bundles. Raises ModelError for a bundle that does not load, or whose target or outputs differ from
    the challenger's."""
    with temporary_folder() as scratch:
        yield Contenders(_bundles(storage, run, baseline, champion, Path(scratch)), champion)


def _bundles(
    storage: Storage, run: Run, baseline: str | None, champion: Model | None, scratch: Path
) -> dict[str, Bundle]:
    bundles = {"challenger": fetch_bundle(storage, run.bundle, scratch / "challenger", run.digest)}
    if baseline:
        bundles["baseline"] = fetch_bundle(storage, baseline, scratch / "baseline")
    if champion:
        with _as_champion(champion):
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
                remedy="Give the model with the other target another name.",
            )
    return bundles


@contextmanager
def _as_champion(champion: Model | None) -> Iterator[None]:
    """Raises any failure of the champion as one ModelError, so that a champion that cannot be judged stays."""
    try:
        yield
    except Exception as error:
        # An unreachable store may be back at the next try.
        if champion is None or isinstance(error, StorageError):
            raise
        which = f"{champion.name} {champion.version}"
        got = str(error) if isinstance(error, SailplaneError) else f"{type(error).__name__}: {error}"
        # A run's folder also holds the bundle of its baseline.
        folder = champion.lineage.bundle.rpartition("/")[2] if champion.lineage else "bundle"
        copy = f"runs/{champion.run}/{folder}"
        remedy = (
            f"It stays the champion. Put its files back at {champion.uri}, from a backup or from {copy} in the store."
        )
        raise ModelError("judge against the champion", which, got=got, remedy=remedy) from error


def labelled_rows(
    storage: Storage, run: Run, window: Interval, challenger: Bundle
) -> tuple[pd.DataFrame, NDArray[np.generic], NDArray[np.generic]]:
    """The labelled rows of the window without their labels, their labels, and the day of each row. Raises LabelError if
    no row has a label."""
    target, outputs = challenger.manifest.target, challenger.manifest.outputs
    frame, dataset = load(storage, run.dataset, window), run.dataset
    partitions = partitions_of(storage, dataset, window)
    days = np.repeat([part.day for part in partitions], [part.rows for part in partitions])
    rows, labels = labelled(frame, target, outputs, f"{dataset.name} {window}")
    # Feature code must not see the labels.
    return rows.drop(columns=target), labels, days[frame[target].notna().to_numpy()]


def score_contenders(
    found: Contenders, rows: pd.DataFrame, target: NDArray[np.generic], days: NDArray[np.generic]
) -> ScoredContenders:
    """Raises DataError if all labels are equal, ModelError if the champion does not score the rows."""
    scores, measured, unscored = {}, {}, {}
    for name, bundle in found.bundles.items():
        if name == "champion":
            with _as_champion(found.champion):
                got: NDArray[np.floating] | str = bundle.predict(rows)
        else:
            got = scored(name, bundle, rows)
        if isinstance(got, str):
            unscored[name] = got
            continue
        scores[name] = got
        measured[name] = metrics(target, got)
    return ScoredContenders(rows, target, days, scores, measured, unscored)
