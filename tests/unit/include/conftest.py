from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits


class FakeRun:
    """What a train function is handed, kept in memory. `stop_after`: epochs until somebody stops the run."""

    def __init__(self, seed: int = 1, stop_after: int = 1000, kept: tuple[int, dict[str, Any]] | None = None) -> None:
        self.seed, self.stop_after = seed, stop_after
        self.device = torch.device("cpu")
        self.rows: list[dict[str, float]] = []
        self.kept = kept
        self._epoch = 0

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append({"step": step, **metrics})

    def epochs(self, count: int) -> Iterator[int]:
        for epoch in range(self._epoch, min(count, self.stop_after)):
            self._epoch = epoch
            yield epoch

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        self.kept = (self._epoch + 1, dict(state))

    def resume(self) -> dict[str, Any] | None:
        if self.kept is None:
            return None
        self._epoch, state = self.kept
        return state


@pytest.fixture
def fake_run() -> type[FakeRun]:
    return FakeRun


@pytest.fixture
def prepared():
    """The arrays of a train and a validation frame, as the training process makes them."""

    def prepare(features: ModuleType, train: pd.DataFrame, validation: pd.DataFrame) -> SimpleNamespace:
        outputs = getattr(features, "OUTPUTS", (features.TARGET,))
        kind = np.float32 if len(outputs) == 1 else np.int64
        state = features.fit(train)

        def split(frame: pd.DataFrame) -> SimpleNamespace:
            rows = frame[frame[features.TARGET].notna()]
            arrays = features.transform(rows.drop(columns=features.TARGET), state)
            return SimpleNamespace(features=arrays, target=rows[features.TARGET].to_numpy(kind))

        return SimpleNamespace(train=split(train), validation=split(validation), state=state, outputs=outputs)

    return prepare


@pytest.fixture
def scores():
    def score(model: torch.nn.Module, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return model.eval()(**{name: torch.tensor(array) for name, array in arrays.items()}).numpy()

    return score


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the training process: on small arrays threads cost much more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)
