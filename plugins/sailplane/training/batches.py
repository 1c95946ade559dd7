"""Batches of rows as tensors on the run's device, made by slicing rather than row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sailplane.training.arrays import Split
from sailplane.training.compute import Compute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Chunk = tuple[Mapping[str, NDArray[Any]], NDArray[np.generic]]


class RowStream(Protocol):
    """Rows that do not all fit in memory."""

    def __len__(self) -> int: ...

    def chunks(self, seed: int) -> Iterator[Chunk]:
        """All rows once, in chunks of features and target, in random order."""
        ...


Rows = Split | RowStream


class Batch(NamedTuple):
    """Rows as tensors on the run's device.

    :param features: the arrays of `transform` by name, first axis rows
    :param target: [rows], float32 0 or 1, or the int64 index of the class
    """

    features: dict[str, Tensor]
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def of(self, rows: Tensor | slice) -> Batch:
        """Only these rows."""
        return Batch({name: tensor[rows] for name, tensor in self.features.items()}, self.target[rows])

    def and_then(self, other: Batch) -> Batch:
        """These rows followed by those of `other`."""
        features = {name: torch.cat([tensor, other.features[name]]) for name, tensor in self.features.items()}
        return Batch(features, torch.cat([self.target, other.target]))


class Batches:
    """A loop over it passes over the rows once. With several processes, each gets its part of each batch, and all get
    the same number of batches. Remaining rows, fewer than there are processes, are left out; they differ between
    epochs."""

    def __init__(self, rows: Rows, size: int, *, compute: Compute, seed: Callable[[], int]) -> None:
        """`seed` is called at each pass."""
        self._rows, self._compute, self._seed = rows, compute, seed
        self._size = max(1, size // compute.processes)
        self._whole: Batch | None = None

    def __len__(self) -> int:
        return -(-(len(self._rows) // self._compute.processes) // self._size)

    def __iter__(self) -> Iterator[Batch]:
        step, left = self._size * self._compute.processes, None
        for chunk in self._chunks(self._seed()):
            rows = left.and_then(chunk) if left else chunk
            whole = len(rows) - len(rows) % step
            yield from self._cut(rows.of(slice(whole)))
            left = rows.of(slice(whole, None))
        if left:
            yield from self._cut(left.of(slice(len(left) - len(left) % self._compute.processes)))

    def _cut(self, rows: Batch) -> Iterator[Batch]:
        own = rows.of(slice(self._compute.rank, None, self._compute.processes))
        return (own.of(slice(start, start + self._size)) for start in range(0, len(own), self._size))

    def _chunks(self, seed: int) -> Iterator[Batch]:
        if not isinstance(self._rows, Split):
            yield from (self._tensors(*chunk) for chunk in self._rows.chunks(seed))
            return
        if self._whole is None:
            self._whole = self._tensors(self._rows.features, self._rows.target)
        # Gathered once a pass, because gathering each batch costs more.
        order = torch.randperm(len(self._whole), generator=torch.Generator().manual_seed(seed))
        yield self._whole.of(order.to(self._compute.device))

    def _tensors(self, features: Mapping[str, NDArray[Any]], target: NDArray[np.generic]) -> Batch:
        return tensors(features, target, self._compute.device)


def tensors(features: Mapping[str, NDArray[Any]], target: NDArray[np.generic], device: torch.device) -> Batch:
    """The rows as one batch. The tensors share the memory of the arrays if it is writable and the device can use it."""
    # Torch does not support read-only memory.
    moved = {name: torch.from_numpy(np.require(array, requirements="W")).to(device) for name, array in features.items()}
    return Batch(moved, torch.from_numpy(np.require(target, requirements="W")).to(device))
