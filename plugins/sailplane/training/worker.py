"""A sweep's worker: trial after trial in one process, until the sweep has no more to give."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sailplane.errors import SailplaneError, StorageError, TrainingError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Run, Trial
from sailplane.storage import Storage
from sailplane.sweeps import queue, results
from sailplane.sweeps.space import SweepConfig
from sailplane.training.fit import Trainer
from sailplane.training.specs import SweepWorkerSpec

POLL_SECONDS: Final = 0.2
BAR_WIDTH: Final = 20


def work(spec: SweepWorkerSpec, folder: Path) -> dict[str, int]:
    """How many trials this worker finished, and how many failed. While other workers still hold trials it waits, to
    take over one whose worker died."""
    worker = _Worker(spec, folder)
    count = {"finished": 0, "failed": 0}
    while True:
        trial = worker.ask()
        if trial is not None:
            count["finished" if worker.attempt(trial) else "failed"] += 1
        elif results.is_open(worker.ledger, spec.sweep):
            time.sleep(POLL_SECONDS)
        else:
            return count


class _Worker:
    def __init__(self, spec: SweepWorkerSpec, folder: Path) -> None:
        self.ledger = Ledger.at(Home.find())
        self._spec, self._folder = spec, folder
        self._sweep = results.read(self.ledger, spec.sweep)
        self._name = f"{spec.worker} {uuid.uuid4().hex[:8]}"
        self._trainer = Trainer(spec)

    def ask(self) -> Trial | None:
        return queue.ask(self.ledger, self._spec.sweep, self._name, self._spec.lease_seconds)

    def attempt(self, trial: Trial) -> bool:
        """Whether it finished. A trial that fails costs itself only: it is recorded with its reason."""
        try:
            return self._finish(trial)
        except Exception as error:
            self._fail(trial, error)
            return False
        except BaseException:
            # This process was told to stop: whoever asks next need not wait for the lease to end.
            queue.release(self.ledger, trial, self._name)
            raise

    def _finish(self, trial: Trial) -> bool:
        reports = _Reports(self.ledger, trial, self._name, self._sweep.config.metric)
        shelf = _Shelf(trial)
        with _held(self.ledger, trial, self._name, self._spec.lease_seconds) as ended:
            run = self._trainer.run(
                self._spec.trial(trial.number, trial.config, self._sweep.seed, attempt=uuid.uuid4().hex[:8]),
                self._folder / f"trial-{trial.number}",
                sweep=trial.sweep,
                trial=trial.number,
                stop=ended.is_set,
                report=reports,
                shelf=shelf,
            )
            score = _score(run, self._sweep.config, reports)
        kept = queue.finish(self.ledger, trial, self._name, score, run)
        shelf.clear(kept)
        told = f"{self._sweep.config.metric} {score:.4f} in {run.seconds:.1f} s{reports.told}"
        self._say(trial, told if kept else f"{told}, lost to another worker")
        return kept

    def _fail(self, trial: Trial, error: Exception) -> None:
        reason = str(error)
        if not isinstance(error, SailplaneError):
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
        _Shelf(trial).clear(queue.fail(self.ledger, trial, self._name, reason))
        self._say(trial, f"failed: {reason}")

    def _say(self, trial: Trial, text: str) -> None:
        print(f"trial {trial.number}: {text}; {dict(trial.config)}; {self._progress()}", flush=True)  # noqa: T201

    def _progress(self) -> str:
        """Of all workers."""
        count, size = results.ended(self.ledger, self._spec.sweep), self._sweep.config.size
        if size is None:
            return f"{count} trials ended"
        filled = BAR_WIDTH * count // size
        return f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {count} of {size}"


class _Shelf:
    """On the store: the worker that takes over a trial goes on from the checkpoint of the one that died."""

    def __init__(self, trial: Trial) -> None:
        self._storage = Storage(Home.find().store)
        self._path = f"runs/{trial.sweep}/trial-{trial.number}/checkpoint.pt"

    def keep(self, file: Path) -> None:
        self._storage.put(self._path, file)

    def fetch(self, file: Path) -> None:
        if not self._storage.exists(self._path):
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(".fetched")
        with half.open("wb") as opened:
            opened.writelines(self._storage.stream(self._path))
        half.replace(file)

    def clear(self, ended: bool) -> None:
        """Unless the trial is another worker's by now. A checkpoint that stays does no harm."""
        if ended:
            with suppress(StorageError):
                self._storage.delete(self._path)


class _Reports:
    """What the train function logs of the sweep's metric goes to the ledger; it is told to stop when that says so."""

    def __init__(self, ledger: Ledger, trial: Trial, worker: str, metric: str) -> None:
        self._ledger, self._trial, self._worker, self._metric = ledger, trial, worker, metric
        self.count, self.told = 0, ""

    def __call__(self, step: int, row: Mapping[str, float]) -> bool:
        if self._metric not in row:
            return False
        self.count += 1
        if not queue.report(self._ledger, self._trial, self._worker, step, row[self._metric]):
            return False
        self.told = f", stopped early after {self.count} values"
        return True


def _score(run: Run, config: SweepConfig, reports: _Reports) -> float:
    metric = config.metric
    if metric not in run.metrics:
        expected = f"the sweep's metric, one of {', '.join(run.metrics)}"
        raise TrainingError("score", run.id, got=f"no metric {metric!r}", expected=expected)
    if config.stopping and not reports.count:
        got = f"{metric!r} was never logged, so that no trial can be stopped early by it"
        remedy = f"Log it each epoch: run.log({{{metric!r}: ...}}); or remove early_terminate, or asha."
        raise TrainingError("score", run.id, got=got, remedy=remedy)
    return run.metrics[metric]


@contextmanager
def _held(ledger: Ledger, trial: Trial, worker: str, lease_seconds: float) -> Iterator[threading.Event]:
    """Renews the lease meanwhile; the event is set when the trial was given to another worker, or the sweep is over."""
    done, ended = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(lease_seconds / 3):
            if not queue.heartbeat(ledger, trial, worker, lease_seconds):
                ended.set()
                return
            if queue.is_over(ledger, trial.sweep):
                ended.set()

    thread = threading.Thread(target=renew, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield ended
    finally:
        done.set()
        thread.join()
