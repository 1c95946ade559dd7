"""A sweep's worker: trial after trial in one process, until the sweep has no more to give."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sailplane.errors import SailplaneError, TrainingError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Run, Trial
from sailplane.sweeps import queue, results
from sailplane.sweeps.space import SweepConfig
from sailplane.training.fit import Trainer
from sailplane.training.specs import SweepWorkerSpec

POLL_SECONDS: Final = 0.2
_LOST: Final = ", lost to another worker"


def work(spec: SweepWorkerSpec, folder: Path) -> dict[str, int]:
    """How many trials this worker finished, and how many failed. While other workers still hold trials it waits, to
    take over one whose worker died."""
    ledger = Ledger.at(Home.find())
    worker = f"{spec.worker} {uuid.uuid4().hex[:8]}"
    trainer = Trainer(spec)
    count = {"finished": 0, "failed": 0}
    while True:
        trial = queue.ask(ledger, spec.sweep, worker, spec.lease_seconds)
        if trial is not None:
            count["finished" if _attempt(ledger, spec, trainer, trial, worker, folder) else "failed"] += 1
        elif results.is_open(ledger, spec.sweep):
            time.sleep(POLL_SECONDS)
        else:
            return count


def _attempt(ledger: Ledger, spec: SweepWorkerSpec, trainer: Trainer, trial: Trial, worker: str, folder: Path) -> bool:
    """A trial that fails costs itself only: it is recorded with its reason."""
    sweep = results.read(ledger, spec.sweep)
    try:
        with _held(ledger, trial, worker, spec.lease_seconds) as ended:
            reports = _Reports(ledger, trial, worker, sweep.config.metric)
            run = trainer.run(
                spec.trial(trial.number, trial.config, sweep.seed, attempt=uuid.uuid4().hex[:8]),
                folder / f"trial-{trial.number}",
                sweep=spec.sweep,
                trial=trial.number,
                stop=ended.is_set,
                report=reports,
            )
            score = _score(run, sweep.config, reports)
        kept = queue.finish(ledger, trial, worker, score, run)
        _say(trial, f"{sweep.config.metric} {score:.4f} in {run.seconds:.1f} s{reports.told}{'' if kept else _LOST}")
    except Exception as error:
        if not isinstance(error, SailplaneError):
            traceback.print_exc()
        reason = str(error) if isinstance(error, SailplaneError) else f"{type(error).__name__}: {error}"
        queue.fail(ledger, trial, worker, reason)
        _say(trial, f"failed: {reason}")
        return False
    except BaseException:
        # This process was told to stop: whoever asks next need not wait for the lease to end.
        queue.release(ledger, trial, worker)
        raise
    return kept


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


def _say(trial: Trial, text: str) -> None:
    print(f"trial {trial.number}: {text}; {dict(trial.config)}", flush=True)  # noqa: T201
