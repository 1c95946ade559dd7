"""A sweep worker on any machine: gets trials, trains them, and reports values and results over HTTP."""

from __future__ import annotations

import math
import os
import platform
import re
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from numbers import Real
from pathlib import Path
from typing import Any, Final, Self

from sailplane import tracking
from sailplane.errors import ConfigurationError, SailplaneError, TrainingError
from sailplane.sweep_worker.client import Client
from sailplane.sweeps.score import trial_score
from sailplane.training.arrays import Arrays, unpack
from sailplane.training.compute import Compute
from sailplane.training.limits import TrialLimits
from sailplane.training.run import RunHandle

POLL_SECONDS: Final = 2.0
# A train function may log more often than the server should be called.
REPORT_SECONDS: Final = 1.0
Train = Callable[[dict[str, Any], Any, RunHandle], Any]


def join(url: str, train: Train, *, token: str, name: str | None = None) -> dict[str, int]:
    """Trains trials of a shared sweep until none are left. Returns how many finished and how many failed.

    `train(config, data, run)` is the train function of a DAG. `data` has the arrays of the DAG's train step; it is None
    if the sweep was shared without data, or if numpy is not installed. A trial's score is the number that the function
    returns, otherwise the last logged value of the sweep's metric. Checkpoints from `run.checkpoint` go to the sweep's
    store: another worker resumes from them if this worker dies, and the model of the best trial is made from them.
    Raises AccessError for a wrong token, ServiceError if the server stays unreachable.
    """
    worker = _Worker(Client(url, token), train, name or platform.node())
    count = {"finished": 0, "failed": 0}
    while True:
        reply = worker.ask()
        if reply["trial"]:
            count["finished" if worker.attempt(reply["trial"]) else "failed"] += 1
        elif reply["open"]:
            # If another worker loses its trial, this worker gets it.
            time.sleep(POLL_SECONDS)
        else:
            return count


class _Worker:
    def __init__(self, client: Client, train: Train, name: str) -> None:
        self._client, self._train = client, train
        self._about = client.get()
        self._data = self._fetched() if self._about["data"] and find_spec("numpy") else None
        self._id = f"{re.sub(r'[^A-Za-z0-9_. -]', '-', name)[:40]} {uuid.uuid4().hex[:8]}"
        self._requests, self._longest = 0, 0.0
        print(f"joined sweep {self._about['sweep']}, to {self._about['goal']} {self._about['metric']}", flush=True)  # noqa: T201

    def ask(self) -> dict[str, Any]:
        """The next trial, and whether other trials may become available."""
        # Each request has its own name: if a response is lost, a retry gets the same trial.
        self._requests += 1
        return self._client.post("/ask", {"worker": self._name})

    def attempt(self, trial: Mapping[str, Any]) -> bool:
        """Trains the trial. Returns whether it finished; a failure is reported with its reason."""
        limits, began = TrialLimits.of(self._about["max_trial_time"], self._longest), time.monotonic()
        held = _Held(self._client, trial["number"], self._name, self._about, limits)
        try:
            with held, tempfile.TemporaryDirectory() as folder, self._tracked(trial, Path(folder)) as tracked:
                score = self._score(trial, held, tracked, Path(folder))
            self._longest = max(self._longest, time.monotonic() - began)
            kept = held.post("finish", score=score)["kept"]
            _say(trial, f"{self._about['metric']} {score:.4f}{'' if kept else ', lost to another worker'}")
            return bool(kept)
        except (TrainingError, _UserError) as error:
            held.post("fail", reason=str(error))
            _say(trial, f"failed: {error}")
            return False
        except (KeyboardInterrupt, SystemExit, ConfigurationError):
            held.post("release")
            raise

    @property
    def _name(self) -> str:
        return f"{self._id} {self._requests}"

    def _tracked(self, trial: Mapping[str, Any], folder: Path) -> AbstractContextManager[_Tracked]:
        """Logs live to W&B, under the sweep, if this machine has the client and a key; otherwise only to the sweep."""
        if not (os.environ.get("WANDB_API_KEY") and find_spec("wandb")):
            return nullcontext(_Untracked())
        sweep, about = self._about["sweep"], {**trial["config"], "seed": trial["seed"]}
        return tracking.run(
            project=self._about["model"],
            name=f"{sweep}/trial-{trial['number']}",
            group=sweep,
            config=about,
            folder=folder,
            sweep=self._about["wandb_sweep"],
        )

    def _score(self, trial: Mapping[str, Any], held: _Held, tracked: _Tracked, folder: Path) -> float:
        run = RunHandle(
            folder,
            seed=trial["seed"],
            tracked=tracked,
            stop=lambda: held.stop_requested() or tracked.stop_requested,
            report=held.report,
            shelf=held,
            compute=Compute(precision=self._about["precision"]),
        )
        try:
            returned = self._train(dict(trial["config"]), self._data, run)
        except SailplaneError:
            raise
        except Exception as error:
            traceback.print_exc()
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno} in {last.name}"
            raise _UserError(f"{type(error).__name__}: {error} ({where})") from error
        held.send()
        metric = self._about["metric"]
        values = {**run.last, metric: float(returned)} if isinstance(returned, Real) else run.last
        stops_early, reported = self._about["stops_early"], metric in run.last
        return trial_score(trial["number"], metric, values, stops_early=stops_early, reported=reported)

    def _fetched(self) -> Arrays:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "data.npz")
            self._client.download("/data", file)
            return unpack(file)


class _Held:
    """A trial in training: renews its lease, reports its values, and keeps its checkpoint."""

    def __init__(self, client: Client, number: int, worker: str, about: Mapping[str, Any], limits: TrialLimits) -> None:
        self._client, self._path, self._worker, self._limits = client, f"/trials/{number}", worker, limits
        self._began = self._heard = time.monotonic()
        self._metric, self._seconds = about["metric"], about["lease_seconds"] / 3
        self._rows: list[tuple[int, float | None]] = []
        self._sent = time.monotonic()
        self._done, self.ended = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._renew, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()

    def post(self, action: str, **facts: Any) -> dict[str, Any]:
        return self._client.post(f"{self._path}/{action}", {"worker": self._worker, **facts})

    def stop_requested(self) -> bool:
        self._heard = time.monotonic()
        return self.ended.is_set()

    def report(self, step: int, row: Mapping[str, float]) -> bool:
        """Takes the logged values. Returns whether the trial should stop."""
        if self._metric in row:
            value = row[self._metric]
            self._rows.append((step, value if math.isfinite(value) else None))
        if time.monotonic() > self._sent + REPORT_SECONDS:
            self.send()
        return self.stop_requested()

    def send(self) -> None:
        """Sends the values that were not sent yet."""
        rows, self._rows, self._sent = self._rows, [], time.monotonic()
        if rows and self.post("report", rows=rows)["stop"]:
            self.ended.set()

    def keep(self, file: Path, kind: str) -> None:
        # A worker that resumes does not log the values before the checkpoint again.
        self.send()
        worker = self._worker.replace(" ", "%20")
        self._client.upload(f"{self._path}/checkpoint?worker={worker}&kind={kind}", file)

    def fetch(self, file: Path, kind: str) -> bool:
        exists = self._client.get(f"{self._path}/checkpoint/exists?kind={kind}")["exists"]
        if exists:
            self._client.download(f"{self._path}/checkpoint?kind={kind}", file)
        return bool(exists)

    def _renew(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                if self._is_given_up():
                    return
                if self.post("heartbeat")["stop"]:
                    self.ended.set()
            except SailplaneError:
                # The trial's own next call raises the same error, with its reason.
                self.ended.set()
                return

    def _is_given_up(self) -> bool:
        """Marks a hung trial as failed, and returns whether it did. Only the user can end code that does not return."""
        now = time.monotonic()
        if self._limits.is_up(now - self._began):
            self.ended.set()
        if reason := self._limits.exceeded(now - self._began, now - self._heard):
            self.post("fail", reason=reason)
            print(f"{reason}. Interrupt this worker: its trial has failed.", flush=True)  # noqa: T201
        return bool(reason)


class _UserError(Exception):
    """The train function raised."""


class _Untracked:
    stop_requested = False

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Discards the metrics, because there is no W&B run."""


_Tracked = tracking.Tracked | _Untracked


def _say(trial: Mapping[str, Any], text: str) -> None:
    print(f"trial {trial['number']}: {text}; {trial['config']}", flush=True)  # noqa: T201
