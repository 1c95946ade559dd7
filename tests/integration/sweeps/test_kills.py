"""Workers and the database are killed at random moments: no trial is lost, and none finishes twice. `make test` kills
twenty times; `make soak` (LONG=1) kills fifty times with each of five seeds."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sailplane.deployment.http_client import wait_until
from sailplane.ledger import Ledger
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import parse
from tests.postgres import PostgreSQL

LONG = "LONG" in os.environ
KILLS, CAP, SEEDS = (50, 400, range(4, 9)) if LONG else (20, 160, range(4, 5))
WORKERS, LEASE_SECONDS = 3, 5.0
TEXT = f"method: random\nmetric: {{name: a}}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\nrun_cap: {CAP}\n"
SPAWN = multiprocessing.get_context("spawn")


def work(url: str, worker: str, log: Path) -> None:
    """Works as a sweep's worker does, and logs each trial that it finished."""
    # Here a trial may be killed often, or lose its lease while the database starts; neither is its fault.
    queue.MOST_ATTEMPTS = KILLS
    ledger = Ledger(url)
    while True:
        trial = queue.ask(ledger, "s", worker, LEASE_SECONDS)
        if trial is None and not results.is_open(ledger, "s"):
            return
        if trial is None:
            time.sleep(0.1)
            continue
        queue.report(ledger, trial, worker, 0, trial.config["x"])
        time.sleep(0.02)
        if queue.finish(ledger, trial, worker, trial.config["x"]):
            with log.open("a") as file:
                file.write(f"{trial.number}\n")


class Workers:
    """Worker processes. Each killed worker is replaced."""

    def __init__(self, url: str, log: Path) -> None:
        self._url, self._log = url, log
        self._count = 0
        self.running: list[Any] = []
        for _ in range(WORKERS):
            self.add()

    def add(self) -> None:
        self._count += 1
        worker = SPAWN.Process(target=work, args=(self._url, f"worker {self._count}", self._log))
        worker.start()
        self.running.append(worker)

    def kill(self, which: int) -> None:
        killed = self.running.pop(which)
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        self.add()


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("seed", SEEDS)
def test_kills_cost_no_trial(seed: int, server: PostgreSQL, tmp_path: Path) -> None:
    """It takes more than half a minute: lost trials wait for their leases to end."""
    url, log, draw = server.database(), tmp_path / "finished", random.Random(seed)
    ledger = Ledger.create(url)
    lifecycle.create(ledger, "s", parse(TEXT))
    workers = Workers(url, log)
    for kill in range(KILLS):
        # The kills are spread over the whole sweep: the next one comes when this many trials have begun.
        begun = (kill + 1) * CAP // (KILLS + 2)
        assert wait_until(lambda begun=begun: len(results.trials(ledger, "s")) >= begun, seconds=120)  # type: ignore[misc]
        time.sleep(draw.uniform(0, 0.05))
        if draw.random() < 0.3:
            server.kill()
            server.start()
        else:
            workers.kill(draw.randrange(WORKERS))
    for worker in workers.running:
        worker.join(120)
    assert [worker.exitcode for worker in workers.running] == [0] * WORKERS
    assert [trial.number for trial in results.trials(ledger, "s")] == list(range(CAP))
    assert {trial.state for trial in results.trials(ledger, "s")} == {"finished"}
    assert all(trial.values == (trial.score,) for trial in results.trials(ledger, "s"))
    assert max(Counter(log.read_text().split()).values()) == 1
