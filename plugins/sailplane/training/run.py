"""The run handle: what a train function is handed besides its configuration and its data.

It travels to machines that have nothing but Python and the train function: numpy and torch are used where they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sailplane.files import is_full, no_room
from sailplane.training import checkpoints

if TYPE_CHECKING:
    import torch

# Of a step and what was logged there.
Report = Callable[[int, Mapping[str, float]], bool]


class Log(Protocol):
    def log(self, metrics: Mapping[str, Any], step: int) -> None: ...


class Shelf(Protocol):
    """Where the checkpoint of a run lies that may go on in another process, or on another machine."""

    def keep(self, file: Path) -> None: ...

    def fetch(self, file: Path) -> None:
        """Puts it there; nothing where there is none."""
        ...


class RunHandle:
    """`for epoch in run.epochs(20): ...; run.log({"loss": loss}); run.checkpoint(state)`

    To make one seeds random, and numpy and torch where they are installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        tracked: Log,
        stop: Callable[[], bool] = lambda: False,
        report: Report = lambda _step, _row: False,
        shelf: Shelf | None = None,
        until: int | None = None,
        verbose: bool = True,
    ) -> None:
        """`stop` says whether to stop; `report` is told what is logged, and may say so for good. Without a `shelf` a
        checkpoint stays in `folder`. `until` is the last step to log, where another run stopped before its end."""
        self.seed = seed
        self.history: list[dict[str, Any]] = []
        self._file = folder / "checkpoint.pt"
        self._tracked, self._stop, self._report, self._verbose = tracked, stop, report, verbose
        self._shelf, self._until = shelf, until
        self._told_to_stop = False
        self._epoch, self._step = 0, 0
        _seed(seed)

    @property
    def device(self) -> torch.device:
        """A GPU where there is one."""
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Numbers at a step; without one, the next."""
        self._step = self._step if step is None else step
        row = {name: float(value) for name, value in metrics.items()}
        self.history.append({"step": self._step, **row})
        self._tracked.log(row, step=self._step)
        self._told_to_stop |= self._report(self._step, row)
        if self._verbose:
            print(f"step {self._step}: {', '.join(f'{name} {value:.5g}' for name, value in row.items())}", flush=True)  # noqa: T201
        self._step += 1

    @property
    def last(self) -> dict[str, float]:
        """The last value of everything that was logged."""
        return {name: value for row in self.history for name, value in row.items() if name != "step"}

    def epochs(self, count: int) -> Iterator[int]:
        """0, 1, ... up to `count`, from after the checkpoint that was resumed; ends early when the run should stop."""
        for epoch in range(self._epoch, count):
            if self.should_stop():
                return
            self._epoch = epoch
            yield epoch

    def should_stop(self) -> bool:
        return self._told_to_stop or self._stop() or (self._until is not None and self._step > self._until)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep `state` (tensors, plain values) for a retry, in place of the one before; a reader sees all or none."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        half = self._file.with_suffix(".tmp")
        try:
            checkpoints.save({"epoch": self._epoch, "step": self._step, "state": dict(state)}, half)
        except RuntimeError as error:
            # All that torch says of a write that failed.
            if is_full(half):
                raise no_room("write", half, disk=half) from error
            raise
        half.replace(self._file)
        if self._shelf:
            self._shelf.keep(self._file)

    def resume(self) -> dict[str, Any] | None:
        """What `checkpoint` kept last, None at a first try; `epochs` then goes on after it."""
        if self._shelf and not self._file.exists():
            self._shelf.fetch(self._file)
        if not self._file.exists():
            return None
        kept = checkpoints.load(self._file)
        self._epoch, self._step = kept["epoch"] + 1, kept["step"]
        state: dict[str, Any] = kept["state"]
        return state


def _seed(seed: int) -> None:
    random.seed(seed)
    if find_spec("numpy"):
        import numpy as np

        np.random.seed(seed % 2**32)
    if find_spec("torch"):
        import torch

        torch.manual_seed(seed)
