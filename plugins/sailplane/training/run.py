"""The run handle, which a train function gets along with its configuration and its data.

It also runs on machines with only Python and the train function: numpy and torch are used if installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sailplane.training import randomness
from sailplane.training.checkpoints import RunCheckpoints, Shelf
from sailplane.training.compute import Compute
from sailplane.training.early_stopping import Goal, Monitor

if TYPE_CHECKING:
    import torch

    from sailplane.training.arrays import Split
    from sailplane.training.batches import Batch, Batches, Rows

# Receives a step and the metrics logged at it; returns whether the run should stop permanently.
Report = Callable[[int, Mapping[str, float]], bool]


class Log(Protocol):
    def log(self, metrics: Mapping[str, Any], step: int) -> None: ...


class RunHandle:
    """The `run` of a train function: it logs, keeps and resumes checkpoints, and says when to stop.

    Creating a handle seeds random, and numpy and torch if they are installed.

    Example::

        def train(config, data, run):
            model = Net().to(run.device)
            model.load_state_dict(run.resume() or model.state_dict())
            for epoch in run.epochs(20):
                run.log({"loss": one_epoch(model, run.batches(data.train, 256))})
                run.checkpoint(model.state_dict())
            return model
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        tracked: Log,
        shelf: Shelf,
        stop: Callable[[], bool] = lambda: False,
        report: Report = lambda _step, _row: False,
        until: int | None = None,
        verbose: bool = True,
        compute: Compute | None = None,
    ) -> None:
        """Seeds the random numbers, and prepares the checkpoints.

        :param folder: holds a checkpoint on its way to the `shelf`
        :param seed: the seed of the run; each process adds its rank
        :param tracked: where metrics are logged
        :param shelf: the store of the checkpoints
        :param stop: returns True if the run should stop now
        :param report: gets the logged values, and stops the run permanently if it returns True
        :param until: the last step to log, for a run that was stopped early on another machine
        :param verbose: print the logged values
        :param compute: the device, the precision and the processes of the run
        """
        self.seed = seed
        self.history: list[dict[str, Any]] = []
        self._tracked, self._stop, self._report, self._verbose = tracked, stop, report, verbose
        self._compute = compute or Compute()
        self._checkpoints = RunCheckpoints(folder, shelf, self._compute.rank)
        self._monitor: Monitor | None = None
        self._until = until
        self._stopped_by_report = False
        self._epoch, self._step = 0, 0
        self._kept: dict[str, Any] | None = None
        randomness.seed(seed + self._compute.rank)

    @property
    def device(self) -> torch.device:
        """A GPU if available; with several processes each has its own."""
        return self._compute.device

    @property
    def processes(self) -> int:
        """The number of processes that train this model together."""
        return self._compute.processes

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs numbers at a step. With several processes, it logs the mean of their numbers.

        :param metrics: numbers by name
        :param step: the step; None for the next one
        """
        self._step = self._step if step is None else step
        row = self._compute.mean({name: float(value) for name, value in metrics.items()})
        self.history.append({"step": self._step, **row})
        if self._monitor:
            self._monitor.see(row, self._epoch)
        if self._compute.is_first:
            self._tracked.log(row, step=self._step)
            self._stopped_by_report |= self._report(self._step, row)
            if self._verbose:
                values = ", ".join(f"{name} {value:.5g}" for name, value in row.items())
                print(f"step {self._step}: {values}", flush=True)  # noqa: T201
        self._step += 1

    @property
    def last(self) -> dict[str, float]:
        """The last value of each logged metric."""
        return {name: value for row in self.history for name, value in row.items() if name != "step"}

    def epochs(
        self, count: int, *, monitor: str | None = None, goal: Goal = "maximize", patience: int | None = None
    ) -> Iterator[int]:
        """0, 1, ... up to `count`, starting after a resumed checkpoint; ends early when the run should stop.

        :param count: the number of epochs
        :param monitor: the metric, logged each epoch before `checkpoint`, by which `best` is chosen
        :param goal: `"maximize"` or `"minimize"` the metric
        :param patience: how many epochs without an improvement end the loop; None for no such limit
        :returns: the number of each epoch
        :raises ConfigurationError: for another goal, or a patience below 1
        :raises TrainingError: if an epoch ends without a value of the metric, or its checkpoint came before that value
        """
        if monitor:
            self._monitor = self._watching(Monitor(monitor, goal, patience))
        for epoch in range(self._epoch, count):
            if self.should_stop() or (self._monitor and self._monitor.ends(epoch - 1)):
                return
            self._epoch = epoch
            yield epoch
            if self._monitor:
                self._monitor.check(epoch)

    def should_stop(self) -> bool:
        """Whether the run should end, because the sweep stops the trial or its time is up. All processes of a run must
        call this equally often, because they agree on one answer.

        :returns: True if the train function should return
        """
        return self._compute.any(self._must_stop())

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keeps `state` in the store for a retry, with the step, the history and the state of the random numbers. If
        the monitored metric has its best value in this epoch, the checkpoint is also kept as the best one. It is stored
        completely or not at all; a damaged checkpoint is skipped, and the previous one is used.

        :param state: tensors and plain values
        :raises TrainingError: if JSON cannot hold the state, on a machine without torch
        """
        if not self._compute.is_first:
            return
        content = {"epoch": self._epoch, "step": self._step, "history": self.history, "random": randomness.state()}
        content |= {"state": dict(state), "scaler": self._compute.state()}
        content["monitor"] = self._monitor.state() if self._monitor else None
        self._checkpoints.keep(content, best=self._monitor is None or self._monitor.keeps(self._epoch))

    def resume(self) -> dict[str, Any] | None:
        """The state of the last checkpoint. `epochs` then continues after it.

        :returns: the state that `checkpoint` kept; None on the first try
        """
        kept = self._checkpoints.fetch("last")
        if kept is None:
            return None
        self._epoch, self._step, self.history = kept["epoch"] + 1, kept["step"], list(kept["history"])
        self._kept = kept["monitor"]
        if self._compute.is_first:
            randomness.restore(kept["random"])
        else:
            # The checkpoint only has the random state of the first process.
            randomness.seed(self._seed_of_epoch() + self._compute.rank)
        self._compute.restore(kept["scaler"])
        state: dict[str, Any] = kept["state"]
        return state

    def best(self) -> dict[str, Any] | None:
        """The state of the epoch with the best monitored metric; of the last checkpoint if nothing is monitored.

        :returns: the state that `checkpoint` kept; None if there is no checkpoint
        """
        self._compute.wait()
        kept = self._checkpoints.fetch("best")
        return kept["state"] if kept else None

    def batches(self, rows: Rows, size: int) -> Batches:
        """Batches for `for batch in batches: loss(model(**batch.features), batch.target)`: one pass over the rows, in a
        new order in each epoch, as tensors on the run's device. `len(batches)` is their number.

        :param rows: `data.train`
        :param size: rows in a batch; with several processes, each gets its part of the batch
        :returns: an iterable of `Batch`
        """
        from sailplane.training.batches import Batches

        # The order depends only on the epoch, so a resumed run continues as it would have.
        return Batches(rows, size, compute=self._compute, seed=self._seed_of_epoch)

    def tensors(self, rows: Split) -> Batch:
        """All rows as one batch on the run's device, to score them. With several processes, each gets all rows.

        :param rows: `data.validation`, for example
        :returns: a `Batch`
        """
        from sailplane.training.batches import tensors

        return tensors(rows.features, rows.target, self.device)

    def parallel(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model to compute the loss with: the model itself or, with several processes, a wrapper that averages
        their gradients. Use the model itself for checkpoints and as the result.

        :param model: the model, on the run's device
        :returns: a module with the same forward
        """
        return self._compute.parallel(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """`with run.autocast(): loss = ...` computes in mixed precision if the train step requests it.

        :returns: a context
        """
        return self._compute.autocast()

    def step(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Computes the gradients and does one step of the optimizer, in the run's precision.

        :param loss: a tensor with one value
        :param optimizer: the optimizer of the model's parameters; its gradients are reset
        """
        self._compute.step(loss, optimizer)

    def _seed_of_epoch(self) -> int:
        return self.seed + 1_000_003 * (self._epoch + 1)

    def _must_stop(self) -> bool:
        return self._stopped_by_report or self._stop() or (self._until is not None and self._step > self._until)

    def _watching(self, monitor: Monitor) -> Monitor:
        if self._kept:
            monitor.restore(self._kept)
        return monitor
