"""The arrays passed to a train function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from sailplane.bundles.features import rows_for
from sailplane.datasets import load
from sailplane.datasets.labels import labelled
from sailplane.errors import ConfigurationError, DataError
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from sailplane.training.arrays import Arrays, Split
from sailplane.training.stream import Labelled, StoreStream

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

EXAMPLE_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class Data(Arrays):
    """The `data` that a train function gets.

    :param train: the rows to train on; with `stream=True` each pass reads them again
    :param validation: the rows of the validation window, for choosing the epoch and the trial
    :param state: what `fit` learned on the train rows
    :param target: the name of the target
    :param outputs: the names of the model's probabilities
    :param examples: raw rows of the validation window, like the rows of a request
    """

    examples: pd.DataFrame


def prepare(storage: Storage, dataset: Dataset, features: ModuleType, *, stream: bool = False) -> Data:
    """The dataset's train and validation windows, without unlabelled rows; features are fitted on train rows only. With
    `stream` the train rows are read again in each epoch, and `fit` gets a sample of large data.

    Raises LabelError if a window has no labels, DataError if transform loses rows.
    """
    target = _named(features, "TARGET")
    outputs = tuple(str(output) for output in getattr(features, "OUTPUTS", (target,)))
    windows = dataset.windows
    transform = partial(transformed, features, dataset)
    train: Split | StoreStream
    if stream:
        rows = Labelled(storage=storage, dataset=dataset, interval=windows.train, target=target, outputs=outputs)
        sample, count = rows.sample()
        state = _fit(features, sample, dataset)
        train = StoreStream(rows, count, transform, state)
    else:
        known, train_target = _rows(storage, dataset, windows.train, target, outputs)
        state = _fit(features, known, dataset)
        train = Split(features=transform(known.drop(columns=target), state), target=train_target)
    validation, validation_target = _rows(storage, dataset, windows.validation, target, outputs)
    inputs = validation.drop(columns=target)
    return Data(
        # `run.batches` accepts a StoreStream as well as a Split.
        train=train,  # type: ignore[arg-type]
        validation=Split(features=transform(inputs, state), target=validation_target),
        state=state,
        target=target,
        outputs=outputs,
        examples=inputs.head(EXAMPLE_ROWS),
    )


def _rows(
    storage: Storage, dataset: Dataset, window: Interval, target: str, outputs: tuple[str, ...]
) -> tuple[pd.DataFrame, NDArray[np.generic]]:
    return labelled(load(storage, dataset, window), target, outputs, f"{dataset.name} {window}")


def _fit(features: ModuleType, frame: pd.DataFrame, dataset: Dataset) -> dict[str, Any]:
    fit = _named(features, "fit")
    return dict(fit(rows_for(fit, frame, dataset.schema)))


def transformed(
    features: ModuleType, dataset: Dataset, frame: pd.DataFrame, state: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    """The arrays of the project's transform for rows without their target. Raises DataError if it loses rows."""
    transform = _named(features, "transform")
    arrays: dict[str, NDArray[Any]] = transform(rows_for(transform, frame, dataset.schema), state)
    for name, array in arrays.items():
        if len(array) != len(frame):
            raise DataError(
                "transform", f"{features.__name__}, array {name!r}", got=f"{len(array)} rows", expected=len(frame)
            )
    return arrays


def _named(features: ModuleType, name: str) -> Any:
    if not hasattr(features, name):
        raise ConfigurationError(
            "load features", features.__name__, got=f"no {name!r}", expected="TARGET, fit, transform"
        )
    return getattr(features, name)
