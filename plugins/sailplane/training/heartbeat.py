"""Renews the lease of a running trial, and ends the trial if it hangs."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Self

from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweeps import lifecycle, queue
from sailplane.training.limits import TrialLimits


class Watch:
    """`with Watch(...) as watch:` holds the trial. `watch.stop_requested()` says whether the trial should end: another
    worker has it, the sweep is over, or its time is up. If the trial hangs, it is marked as failed and this process is
    killed, with a traceback in its log: nothing else ends code that does not return."""

    def __init__(self, ledger: Ledger, trial: Trial, worker: str, *, lease_seconds: float, limits: TrialLimits) -> None:
        self._ledger, self._trial, self._worker = ledger, trial, worker
        self._lease_seconds, self._limits = lease_seconds, limits
        self._done, self._ended = threading.Event(), threading.Event()
        self._began = self._heard = time.monotonic()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True, name="heartbeat")
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def hear(self) -> None:
        """Records a sign of life."""
        self._heard = time.monotonic()

    def stop_requested(self) -> bool:
        """Whether the trial should end. The question counts as a sign of life."""
        self.hear()
        return self._ended.is_set()

    def _watch(self) -> None:
        while not self._done.wait(self._lease_seconds / 3):
            if not queue.heartbeat(self._ledger, self._trial, self._worker, self._lease_seconds):
                # A lost trial gets as much time to end as a trial that this worker still holds.
                self._ended.set()
            now = time.monotonic()
            if self._limits.is_up(now - self._began) or lifecycle.is_over(self._ledger, self._trial.sweep):
                self._ended.set()
            if reason := self._limits.exceeded(now - self._began, now - self._heard):
                _end(reason, lambda text: queue.fail(self._ledger, self._trial, self._worker, text))


def _end(reason: str, fail: Callable[[str], bool]) -> None:
    faulthandler.dump_traceback(sys.stderr)
    print(f"{reason}; its traceback is above. The worker restarts without it.", flush=True)  # noqa: T201
    fail(reason)
    os.kill(os.getpid(), signal.SIGKILL)
