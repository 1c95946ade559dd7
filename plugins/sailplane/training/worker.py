"""A sweep worker: trains trial after trial in one process until none are left."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sailplane import pairing
from sailplane.errors import SailplaneError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweeps import queue, results
from sailplane.sweeps.score import trial_score
from sailplane.tracking import sweeps
from sailplane.training.checkpoint_store import StoreShelf, folder_of
from sailplane.training.compute import Compute
from sailplane.training.fit import Trainer
from sailplane.training.heartbeat import Watch
from sailplane.training.limits import TrialLimits
from sailplane.training.specs import SweepWorkerSpec

POLL_SECONDS: Final = 0.2
BAR_WIDTH: Final = 20


def work(spec: SweepWorkerSpec, folder: Path) -> dict[str, int]:
    """Trains trials until none are left. Returns how many finished and how many failed here. While other workers hold
    trials, it waits: if one of them dies, it takes over the trial."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = _Worker(spec, folder)
    count = {"finished": 0, "failed": 0}
    while True:
        trial = worker.ask()
        # The parent restarts this process only if it got this far.
        (folder / "started").touch()
        if trial is not None:
            count["finished" if worker.attempt(trial) else "failed"] += 1
        elif results.is_open(worker.ledger, spec.sweep):
            time.sleep(POLL_SECONDS)
        else:
            sweeps.finish(worker.ledger, spec.sweep)
            return count


class _Worker:
    def __init__(self, spec: SweepWorkerSpec, folder: Path) -> None:
        self.ledger = pairing.ledger(Home.find())
        self._spec, self._folder = spec, folder
        self._sweep = results.read(self.ledger, spec.sweep)
        self._name = f"{spec.worker} {uuid.uuid4().hex[:8]}"
        self._trainer = Trainer(spec, Compute(precision=spec.precision))
        # The duration of the longest trial that this process finished, in seconds.
        self._longest = 0.0
        self._release_previous()

    def _release_previous(self) -> None:
        """Releases the trial of the previous process in this folder, which is dead, before its lease ends."""
        file = self._folder / "worker.txt"
        before = file.read_text() if file.exists() else None
        if before and (held := results.held_by(self.ledger, self._spec.sweep, before)):
            queue.release(self.ledger, held, before)
        replace_file(file, self._name)

    def ask(self) -> Trial | None:
        """The next trial, which this worker then holds."""
        return queue.ask(self.ledger, self._spec.sweep, self._name, self._spec.lease_seconds)

    def attempt(self, trial: Trial) -> bool:
        """Trains the trial. Returns whether it finished; a failure is recorded with its reason."""
        try:
            return self._finish(trial)
        except Exception as error:
            self._fail(trial, error)
            return False
        except BaseException:
            # This process was stopped: the next worker need not wait for the lease to end.
            queue.release(self.ledger, trial, self._name)
            raise

    def _finish(self, trial: Trial) -> bool:
        config, shelf = self._sweep.config, self._shelf(trial)
        limits = TrialLimits.of(config.max_trial_time, self._longest, self._spec.hung_seconds)
        with Watch(self.ledger, trial, self._name, lease_seconds=self._spec.lease_seconds, limits=limits) as watch:
            reports = _Reports(self.ledger, trial, self._name, config.metric, watch)
            run = self._trainer.run(
                self._spec.trial(trial.number, trial.config, self._sweep.seed, attempt=uuid.uuid4().hex[:8]),
                shelf,
                stop=watch.stop_requested,
                report=reports,
            )
            stops_early, reported = config.stopping is not None, reports.has_values()
            score = trial_score(trial.number, config.metric, run.metrics, stops_early=stops_early, reported=reported)
        self._longest = max(self._longest, run.seconds)
        kept = queue.finish(self.ledger, trial, self._name, score, run)
        if kept:
            shelf.clear()
        outcome = f"{config.metric} {score:.4f} in {run.seconds:.1f} s{reports.outcome}"
        self._say(trial, outcome if kept else f"{outcome}, lost to another worker")
        return kept

    def _fail(self, trial: Trial, error: Exception) -> None:
        reason = str(error)
        if not isinstance(error, SailplaneError):
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
        if queue.fail(self.ledger, trial, self._name, reason):
            self._shelf(trial).clear()
        self._say(trial, f"failed: {reason}")

    def _shelf(self, trial: Trial) -> StoreShelf:
        """The checkpoints of the trial. Any worker that takes it over continues from them."""
        return StoreShelf(self._trainer.storage, folder_of(trial.sweep, trial.number))

    def _say(self, trial: Trial, text: str) -> None:
        print(f"trial {trial.number}: {text}; {dict(trial.config)}; {self._progress()}", flush=True)  # noqa: T201

    def _progress(self) -> str:
        """The progress of all workers."""
        count, size = results.ended(self.ledger, self._spec.sweep), self._sweep.config.size
        if size is None:
            return f"{count} trials ended"
        filled = BAR_WIDTH * count // size
        return f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {count} of {size}"


class _Reports:
    """Writes the train function's values of the sweep's metric to the ledger, which may stop the trial."""

    def __init__(self, ledger: Ledger, trial: Trial, worker: str, metric: str, watch: Watch) -> None:
        self._ledger, self._trial, self._worker, self._metric, self._watch = ledger, trial, worker, metric, watch
        self._count, self.outcome = 0, ""

    def __call__(self, step: int, row: Mapping[str, float]) -> bool:
        self._watch.hear()
        if self._metric not in row:
            return False
        self._count += 1
        if not queue.report(self._ledger, self._trial, self._worker, step, row[self._metric]):
            return False
        self.outcome = f", stopped early after {self._count} values"
        return True

    def has_values(self) -> bool:
        """Whether the train function logged the metric, in this attempt or an earlier one."""
        return self._count > 0 or results.last_step(self._ledger, self._trial.sweep, self._trial.number) is not None
