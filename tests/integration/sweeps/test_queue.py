"""The queue with real processes: no process loses a trial or takes another's."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter

import pytest

from sailplane.ledger import Ledger
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import SweepConfig, parse

TEXT = """\
method: {method}
metric: {{name: auc, goal: maximize}}
parameters:
  x: {{min: 0.0, max: 1.0}}
run_cap: {cap}
"""
DEADLINE = 60.0


def config(cap: int, method: str = "random") -> SweepConfig:
    return parse(TEXT.format(method=method, cap=cap))


def _work(url: str, worker: str, lease_seconds: float, taken: multiprocessing.Queue[tuple[str, int]]) -> None:
    ledger = Ledger.create(url)
    while trial := queue.ask(ledger, "s", worker, lease_seconds):
        taken.put((worker, trial.number))
        queue.finish(ledger, trial, worker, trial.config["x"])


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_several_processes_at_once_lose_none_and_take_none_twice(url: str, ledger: Ledger, method: str) -> None:
    """It takes up to half a minute with `bayes`, because each suggestion is computed."""
    cap = 60 if method == "random" else 16
    lifecycle.create(ledger, "s", config(cap, method))
    spawn = multiprocessing.get_context("spawn")
    taken = spawn.Queue()
    workers = [spawn.Process(target=_work, args=(url, f"w{n}", 60.0, taken)) for n in range(3)]
    for worker in workers:
        worker.start()
    numbers = Counter(taken.get(timeout=DEADLINE)[1] for _ in range(cap))
    for worker in workers:
        worker.join(DEADLINE)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert numbers == Counter(range(cap))
    assert [trial.state for trial in results.trials(ledger, "s")] == ["finished"] * cap
    assert len({str(trial.config) for trial in results.trials(ledger, "s")}) == cap


def _hang(url: str, lease_seconds: float, taken: multiprocessing.Queue[int]) -> None:
    trial = queue.ask(Ledger.create(url), "s", "killed", lease_seconds)
    taken.put(trial.number if trial else -1)
    time.sleep(DEADLINE)


def test_the_trial_of_a_killed_worker_is_given_again_after_its_lease(url: str, ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    spawn = multiprocessing.get_context("spawn")
    taken = spawn.Queue()
    worker = spawn.Process(target=_hang, args=(url, 1.5, taken))
    worker.start()
    number = taken.get(timeout=DEADLINE)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join(DEADLINE)
    assert queue.ask(ledger, "s", "alive") is None
    assert _ask_until_given(ledger).number == number


def _ask_until_given(ledger: Ledger) -> queue.Trial:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        trial = queue.ask(ledger, "s", "alive")
        if trial is not None:
            return trial
        time.sleep(0.05)
    raise AssertionError("the trial was not given again")
