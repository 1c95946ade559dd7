"""A sweep's worker on any machine: asks, trains, reports, and tells the result, all over HTTP."""

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
from sailplane.training.arrays import Arrays, unpack
from sailplane.training.compute import Compute
from sailplane.training.limits import Limits
from sailplane.training.run import RunHandle

POLL_SECONDS: Final = 2.0
# A train function may log more often than a network should be asked.
REPORT_SECONDS: Final = 1.0
Train = Callable[[dict[str, Any], Any, RunHandle], Any]


def join(url: str, train: Train, *, token: str, name: str | None = None) -> dict[str, int]:
    """Train trials of a shared sweep until it has no more to give; how many finished, and how many failed.

    `train(config, data, run)` is what a DAG names: `data` has the arrays of the DAG's train step, and is None where
    the sweep was shared without, or numpy is not installed. A trial's score is what it returns if that is a number,
    else the last value that it logged of the sweep's metric. What it keeps with `run.checkpoint` goes to the sweep's
    store: from there another worker goes on if this one dies, and the best trial's model is made. Raises AccessError
    for a wrong token, ServiceError where the server stays away.
    """
    worker = _Worker(Client(url, token), train, name or platform.node())
    count = {"finished": 0, "failed": 0}
    while True:
        asked = worker.ask()
        if asked["trial"]:
            count["finished" if worker.attempt(asked["trial"]) else "failed"] += 1
        elif asked["open"]:
            # Somebody else's trial may be given again.
            time.sleep(POLL_SECONDS)
        else:
            return count


class _Worker:
    def __init__(self, client: Client, train: Train, name: str) -> None:
        self._client, self._train = client, train
        self._about = client.get()
        self._data = self._fetched() if self._about["data"] and find_spec("numpy") else None
        self._id = f"{re.sub(r'[^A-Za-z0-9_. -]', '-', name)[:40]} {uuid.uuid4().hex[:8]}"
        self._asked, self._longest = 0, 0.0
        print(f"joined sweep {self._about['sweep']}, to {self._about['goal']} {self._about['metric']}", flush=True)  # noqa: T201

    def ask(self) -> dict[str, Any]:
        # A name for each ask: one whose answer was lost gives the same trial again.
        self._asked += 1
        return self._client.post("/ask", {"worker": self._name})

    def attempt(self, trial: Mapping[str, Any]) -> bool:
        """Whether it finished. A trial that fails costs itself only."""
        limits, began = Limits.of(self._about["max_trial_time"], self._longest), time.monotonic()
        held = _Held(self._client, trial["number"], self._name, self._about, limits)
        try:
            with held, tempfile.TemporaryDirectory() as folder, self._tracked(trial, Path(folder)) as tracked:
                score = self._score(trial, held, tracked, Path(folder))
            self._longest = max(self._longest, time.monotonic() - began)
            kept = held.tell("finish", score=score)["kept"]
            _say(trial, f"{self._about['metric']} {score:.4f}{'' if kept else ', lost to another worker'}")
            return bool(kept)
        except (TrainingError, _UserError) as error:
            held.tell("fail", reason=str(error))
            _say(trial, f"failed: {error}")
            return False
        except (KeyboardInterrupt, SystemExit, ConfigurationError):
            held.tell("release")
            raise

    @property
    def _name(self) -> str:
        return f"{self._id} {self._asked}"

    def _tracked(self, trial: Mapping[str, Any], folder: Path) -> AbstractContextManager[_Tracked]:
        """At W&B, live, under the sweep, where this machine has the client and a key; else the sweep has its values."""
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
            stop=lambda: held.told_to_stop() or tracked.told_to_stop,
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
        return self._checked(returned, run)

    def _checked(self, returned: Any, run: RunHandle) -> float:
        metric = self._about["metric"]
        if self._about["stops_early"] and metric not in run.last:
            got = f"{metric!r} was never logged, so that no trial can be stopped early by it"
            raise TrainingError("score the trial", got=got, remedy=f"Log it each epoch: run.log({{{metric!r}: ...}}).")
        score = float(returned) if isinstance(returned, Real) else run.last.get(metric)
        if score is None:
            got = f"it logged no {metric!r}, and returned no number"
            remedy = f"Log it: run.log({{{metric!r}: ...}}); or return it."
            raise TrainingError("score the trial", got=got, remedy=remedy)
        if not math.isfinite(score):
            raise TrainingError("score the trial", got=f"its score is {score}")
        return score

    def _fetched(self) -> Arrays:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "data.npz")
            self._client.download("/data", file)
            return unpack(file)


class _Held:
    """A trial while it is trained here: its lease is renewed, its values are reported, its checkpoint is kept."""

    def __init__(self, client: Client, number: int, worker: str, about: Mapping[str, Any], limits: Limits) -> None:
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

    def tell(self, what: str, **facts: Any) -> dict[str, Any]:
        return self._client.post(f"{self._path}/{what}", {"worker": self._worker, **facts})

    def told_to_stop(self) -> bool:
        self._heard = time.monotonic()
        return self.ended.is_set()

    def report(self, step: int, row: Mapping[str, float]) -> bool:
        if self._metric in row:
            value = row[self._metric]
            self._rows.append((step, value if math.isfinite(value) else None))
        if time.monotonic() > self._sent + REPORT_SECONDS:
            self.send()
        return self.told_to_stop()

    def send(self) -> None:
        rows, self._rows, self._sent = self._rows, [], time.monotonic()
        if rows and self.tell("report", rows=rows)["stop"]:
            self.ended.set()

    def keep(self, file: Path, kind: str) -> None:
        # What was logged before the checkpoint is not logged again by who goes on from it.
        self.send()
        worker = self._worker.replace(" ", "%20")
        self._client.upload(f"{self._path}/checkpoint?worker={worker}&kind={kind}", file)

    def fetch(self, file: Path, kind: str) -> bool:
        there = self._client.get(f"{self._path}/checkpoint/exists?kind={kind}")["exists"]
        if there:
            self._client.download(f"{self._path}/checkpoint?kind={kind}", file)
        return bool(there)

    def _renew(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                if self._is_given_up():
                    return
                if self.tell("heartbeat")["stop"]:
                    self.ended.set()
            except SailplaneError:
                # The trial's own next call says why.
                self.ended.set()
                return

    def _is_given_up(self) -> bool:
        """A trial that hangs is failed; to end code that does not return is for who started it."""
        now = time.monotonic()
        if self._limits.is_up(now - self._began):
            self.ended.set()
        if reason := self._limits.overstepped(now - self._began, now - self._heard):
            self.tell("fail", reason=reason)
            print(f"{reason}. Interrupt this worker: its trial is failed.", flush=True)  # noqa: T201
        return bool(reason)


class _UserError(Exception):
    """The train function raised."""


class _Untracked:
    told_to_stop = False

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """There is nobody to tell."""


_Tracked = tracking.Tracked | _Untracked


def _say(trial: Mapping[str, Any], text: str) -> None:
    print(f"trial {trial['number']}: {text}; {trial['config']}", flush=True)  # noqa: T201
