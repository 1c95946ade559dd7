from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pandera.pandas import DataFrameSchema
from threadpoolctl import threadpool_limits

from sailplane.bundles.features import rows_for
from sailplane.datasets.schema import fields
from sailplane.storage import Storage
from sailplane.training.arrays import Split
from sailplane.training.checkpoint_store import StoreShelf
from sailplane.training.run import RunHandle

if TYPE_CHECKING:
    import torch


@pytest.fixture
def handle(tmp_path: Path) -> Callable[..., RunHandle]:
    """Returns the handle that a train function gets. `stop_after` is the number of epochs until somebody stops the run,
    `again` the folder of an earlier run's checkpoints."""

    def make(seed: int = 1, stop_after: int = 1000, again: str | None = None) -> RunHandle:
        shelf = StoreShelf(Storage((tmp_path / "store").as_uri()), again or f"runs/{uuid.uuid4().hex}")

        class Stopped(RunHandle):
            folder = shelf.folder

            def should_stop(self) -> bool:
                return len(self.history) >= stop_after

        return Stopped(tmp_path / "scratch", seed=seed, tracked=_Untracked(), shelf=shelf, verbose=False)

    return make


class _Untracked:
    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Drops the log, because tests look at the handle's own history."""


@pytest.fixture
def prepared():
    """Returns the arrays of a train and a validation frame as the training process makes them."""

    def prepare(
        features: ModuleType, schema: DataFrameSchema, train: pd.DataFrame, validation: pd.DataFrame
    ) -> SimpleNamespace:
        outputs = getattr(features, "OUTPUTS", (features.TARGET,))
        kind = np.float32 if len(outputs) == 1 else np.int64
        state = features.fit(rows_for(features.fit, train, fields(schema)))

        def split(frame: pd.DataFrame) -> Split:
            rows = frame[frame[features.TARGET].notna()]
            inputs = rows_for(features.transform, rows.drop(columns=features.TARGET), fields(schema))
            arrays = features.transform(inputs, state)
            return Split(features=arrays, target=rows[features.TARGET].to_numpy(kind))

        return SimpleNamespace(train=split(train), validation=split(validation), state=state, outputs=outputs)

    return prepare


@pytest.fixture
def scores():
    import torch

    def score(model: torch.nn.Module, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return model.eval()(**{name: torch.tensor(array) for name, array in arrays.items()}).numpy()

    return score


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Limits torch to one thread, as in the training process: on small arrays threads cost more than they gain."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def one_thread_in_torch() -> Iterator[None]:
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
