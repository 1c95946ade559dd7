"""The metric that selects the best epoch of a run and ends the run early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from sailplane.errors import ConfigurationError, TrainingError

Goal = Literal["maximize", "minimize"]


class Monitor:
    """Selects the epoch with the best value of a metric; of equal values the first."""

    def __init__(self, metric: str, goal: Goal, patience: int | None) -> None:
        if goal not in ("maximize", "minimize"):
            raise ConfigurationError("monitor", metric, got=f"goal {goal!r}", expected="maximize or minimize")
        if patience is not None and patience < 1:
            raise ConfigurationError("monitor", metric, got=f"patience {patience}", expected="at least 1 epoch")
        self._metric, self._patience = metric, patience
        self._sign = 1 if goal == "maximize" else -1
        self._best, self._best_epoch, self._seen_epoch = -math.inf, -1, -1
        # Epochs of the last checkpoint and of the best checkpoint.
        self._kept_epoch, self._kept_best_epoch = -1, -1

    def see(self, row: Mapping[str, float], epoch: int) -> None:
        """Takes note of the values logged in an epoch."""
        if self._metric not in row:
            return
        self._seen_epoch = epoch
        value = self._sign * row[self._metric]
        if value > self._best:
            self._best, self._best_epoch = value, epoch

    def keeps(self, epoch: int) -> bool:
        """Whether the current checkpoint is the best one."""
        self._kept_epoch = epoch
        if self._best_epoch == epoch:
            self._kept_best_epoch = epoch
        return self._best_epoch == epoch

    def check(self, epoch: int) -> None:
        """Called at the end of an epoch. Raises TrainingError if it logged no value, or kept its checkpoint too
        early."""
        if self._seen_epoch != epoch:
            got, remedy = f"epoch {epoch} logged none", f"Log it each epoch: run.log({{{self._metric!r}: ...}})."
            raise TrainingError("monitor", self._metric, got=got, remedy=remedy)
        if self._kept_epoch == epoch == self._best_epoch != self._kept_best_epoch:
            got, remedy = f"epoch {epoch} was saved before its value was logged", "Call run.log before run.checkpoint."
            raise TrainingError("monitor", self._metric, got=got, remedy=remedy)

    def ends(self, epoch: int) -> bool:
        """Whether the run should end after this epoch."""
        return self._patience is not None and epoch >= 0 and epoch - self._best_epoch >= self._patience

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "best_epoch": self._best_epoch, "seen_epoch": self._seen_epoch}

    def restore(self, kept: Mapping[str, Any]) -> None:
        self._best, self._best_epoch, self._seen_epoch = kept["best"], kept["best_epoch"], kept["seen_epoch"]
