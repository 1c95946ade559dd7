"""A sweep's worker: trial after trial in one process, until the sweep has no more to give."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sailplane.errors import SailplaneError, TrainingError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Run, Trial
from sailplane.sweeps import queue
from sailplane.training.fit import Trainer
from sailplane.training.specs import SweepWorkerSpec

POLL_SECONDS: Final = 0.2


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
        elif queue.is_open(ledger, spec.sweep):
            time.sleep(POLL_SECONDS)
        else:
            return count


def _attempt(ledger: Ledger, spec: SweepWorkerSpec, trainer: Trainer, trial: Trial, worker: str, folder: Path) -> bool:
    """A trial that fails costs itself only: it is recorded with its reason."""
    metric = queue.read(ledger, spec.sweep)[0].metric
    try:
        with _held(ledger, trial, worker, spec.lease_seconds) as lost:
            run = _train(ledger, spec, trainer, trial, folder, lost)
            score = _score(run, metric)
        kept = queue.finish(ledger, trial, worker, score, run)
        _say(trial, f"{metric} {score:.4f} in {run.seconds:.1f} s" + ("" if kept else ", lost to another worker"))
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


def _train(
    ledger: Ledger, spec: SweepWorkerSpec, trainer: Trainer, trial: Trial, folder: Path, lost: threading.Event
) -> Run:
    _, seed = queue.read(ledger, spec.sweep)
    return trainer.run(
        spec.trial(trial.number, trial.config, seed, attempt=uuid.uuid4().hex[:8]),
        folder / f"trial-{trial.number}",
        sweep=spec.sweep,
        trial=trial.number,
        stop=lost.is_set,
    )


def _score(run: Run, metric: str) -> float:
    if metric not in run.metrics:
        raise TrainingError(
            "score",
            run.id,
            got=f"no metric {metric!r}",
            expected=f"the sweep's metric, one of {', '.join(run.metrics)}",
        )
    return run.metrics[metric]


@contextmanager
def _held(ledger: Ledger, trial: Trial, worker: str, lease_seconds: float) -> Iterator[threading.Event]:
    """Renews the lease meanwhile; the event is set when the trial was given to another worker."""
    done, lost = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(lease_seconds / 3):
            if not queue.heartbeat(ledger, trial, worker, lease_seconds):
                lost.set()
                return

    thread = threading.Thread(target=renew, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()


def _say(trial: Trial, text: str) -> None:
    print(f"trial {trial.number}: {text}; {dict(trial.config)}", flush=True)  # noqa: T201
