"""Streams train rows that do not fit in memory: each epoch reads them again from the store."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from sailplane.datasets import scan
from sailplane.datasets.labels import labelled
from sailplane.errors import TrainingError
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Rows per read, rows that wait to be mixed with others, and rows that `features.fit` learns from.
READ_ROWS: Final = 32_768
MIXED_ROWS: Final = 262_144
FITTED_ROWS: Final = 1_000_000
# From raw rows, and the state that `fit` learned, to arrays by name.
Transform = Callable[["pd.DataFrame", dict[str, Any]], dict[str, "NDArray[Any]"]]
Chunk = tuple[dict[str, "NDArray[Any]"], "NDArray[np.generic]"]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The labelled rows of an interval, which can be read repeatedly."""

    storage: Storage
    dataset: Dataset
    interval: Interval
    target: str
    outputs: tuple[str, ...]

    def frames(self, shuffled: random.Random | None = None) -> Iterator[tuple[pd.DataFrame, NDArray[np.generic]]]:
        for frame in scan(self.storage, self.dataset, self.interval, READ_ROWS, shuffled):
            if self.target not in frame or frame[self.target].notna().any():
                yield labelled(frame, self.target, self.outputs, f"{self.dataset.name} {self.interval}")

    def sample(self, seed: int = 0) -> tuple[pd.DataFrame, int]:
        """At most FITTED_ROWS rows, evenly from all days, and the total number of rows."""
        import pandas as pd

        part, draw, rows, parts = min(1.0, FITTED_ROWS / max(1, self.dataset.rows)), np.random.default_rng(seed), 0, []
        for frame, _ in self.frames():
            rows += len(frame)
            parts.append(frame if part == 1.0 else frame[draw.random(len(frame)) < part])
        if not parts:
            # This raises the error.
            labelled(pd.DataFrame({self.target: []}), self.target, self.outputs, f"{self.dataset.name} {self.interval}")
        return pd.concat(parts, ignore_index=True), rows


class StoreStream:
    """The input of `run.batches`; `len` is the number of rows. The days are shuffled. The rows of days that are read
    one after the other are mixed: when MIXED_ROWS of them are in memory, half of them are used, and the other half
    waits for the next rows (the shuffle buffer of tf.data, by whole chunks)."""

    def __init__(self, rows: Labelled, count: int, transform: Transform, state: dict[str, Any]) -> None:
        self._rows, self._count, self._transform, self._state = rows, count, transform, state

    def __len__(self) -> int:
        return self._count

    @property
    def features(self) -> NoReturn:
        """Raises TrainingError: the rows are not in memory."""
        remedy = "Use `run.batches(data.train, size)`, or remove stream=True."
        raise TrainingError("read all train rows", got="they are a stream", remedy=remedy)

    target = features

    def chunks(self, seed: int) -> Iterator[Chunk]:
        waiting: list[Chunk] = []
        draw = np.random.default_rng(seed)
        for chunk in self._read(random.Random(seed)):  # noqa: S311  no secret
            waiting.append(chunk)
            if sum(len(target) for _, target in waiting) >= MIXED_ROWS:
                mixed = _mixed(waiting, draw)
                half = len(mixed[1]) // 2
                yield _part(mixed, slice(half))
                waiting = [_part(mixed, slice(half, None))]
        if waiting:
            yield _mixed(waiting, draw)

    def _read(self, shuffled: random.Random) -> Iterator[Chunk]:
        for frame, target in self._rows.frames(shuffled):
            yield self._transform(frame.drop(columns=self._rows.target), self._state), target


def _mixed(chunks: list[Chunk], draw: np.random.Generator) -> Chunk:
    features = {name: np.concatenate([each[name] for each, _ in chunks]) for name in chunks[0][0]}
    target = np.concatenate([each for _, each in chunks])
    return _part((features, target), draw.permutation(len(target)))


def _part(chunk: Chunk, rows: Any) -> Chunk:
    features, target = chunk
    return {name: array[rows] for name, array in features.items()}, target[rows]
