"""Sweeps compared with other libraries: trials per second, the overhead of a second of training, and the best point
that bayes finds in sixty trials."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from tests.benchmarks import verified
from tests.benchmarks.peers import peer_python
from tests.benchmarks.row import Row

CLIENTS = Path(__file__).with_name("clients")
HERE = sys.executable
OBJECTIVES = ("Branin", "Hartmann-6", "Rosenbrock-10", "mixed")
SEEDS, TRIALS, ROUNDS = 20, 60, 3
# Trials that do nothing, for the fast libraries and for Ray, whose actors start within that time; and trials of a
# second.
MANY, FEW, LONG = 600, 200, 40
# A suggestion is faster with one thread.
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "PYTHONWARNINGS": "ignore"}


def rows() -> Iterator[Row]:
    yield from _speed()
    for workers in (1, 4):
        yield from _regrets(workers)


def _speed() -> Iterator[Row]:
    ray = peer_python("ray[tune]>=2.50")
    ours, optuna = _rate(HERE, "ours", MANY), _rate(HERE, "optuna", MANY)
    yield Row("trials that do nothing", ours, optuna, "trials/s", "Optuna's JournalStorage", "above it")
    limit = "at least 20 times"
    yield Row("trials that do nothing", ours, _rate(ray, "ray", FEW), "trials/s", "Ray Tune, reuse_actors", limit)
    overheads = [_seconds(python, name, LONG, 1.0) / (LONG / 2) - 1 for python, name in ((HERE, "ours"), (ray, "ray"))]
    percent = [100 * overhead for overhead in overheads]
    yield Row("overhead of trials of a second", *percent, "%", "Ray Tune, reuse_actors", "at most 2")


def _rate(python: str, name: str, count: int) -> float:
    return statistics.median(count / _seconds(python, name, count, 0.0) for _ in range(ROUNDS))


def _seconds(python: str, name: str, count: int, each: float) -> float:
    return trials_of(name, [python, str(CLIENTS / f"trials_{name}.py")], count, each)


def trials_of(name: str, client: list[str], count: int, each: float) -> float:
    """Returns the seconds that a client takes for `count` trials of `each` seconds. Raises UnverifiedError for other
    trials."""
    # Optuna's workers may both be training their last trial.
    extra = 1 if name == "optuna" else 0
    return verified.trials(name, json.loads(_said([*client, str(count), str(each)])), count, extra)


def _regrets(workers: int) -> Iterator[Row]:
    pythons = {"ours": HERE, "wandb": peer_python("sweeps==0.3.0"), "optuna": HERE}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        asked = {
            (name, who): threads.submit(_regret, python, who, name, workers)
            for name, (who, python) in product(OBJECTIVES, pythons.items())
        }
        found = {key: one.result() for key, one in asked.items()}
    how = "one worker" if workers == 1 else f"{workers} workers"
    for name, (peer, title) in product(OBJECTIVES, [("wandb", "W&B's bayes"), ("optuna", "Optuna's TPE")]):
        limit = "at most it" if peer == "wandb" else "at most it, on three"
        yield Row(f"regret, {name}, {how}", found[name, "ours"], found[name, peer], "loss", title, limit)


def _regret(python: str, who: str, name: str, workers: int) -> float:
    seeds = [str(seed) for seed in range(SEEDS)]
    said = _said([python, str(CLIENTS / f"search_{who}.py"), name, str(workers), str(TRIALS), *seeds])
    return statistics.median(verified.searches(f"{who}, {name}", json.loads(said), SEEDS, TRIALS))


def _said(command: list[str]) -> str:
    ended = subprocess.run(command, env=ENV, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]
