"""Random search on flights with losers stopped early, beside the same search in which every trial runs to its end: the
same file, seeds and configurations, two workers each."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sailplane import code
from sailplane.datasets import ingest
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval
from sailplane.storage import Storage
from sailplane.sweeps import queue, results
from sailplane.sweeps.space import parse
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec
from tests.benchmarks.row import Row

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
# Trials that are long, as those are that one stops early.
WINDOW_DAYS, TRIALS, EPOCHS, SEEDS = 196, 27, 27, 4
# Wider than the project's own, in which every trial is good.
TEXT = f"""\
method: random
metric: {{name: validation_auc, goal: maximize}}
run_cap: {TRIALS}
parameters:
  epochs: {{value: {EPOCHS}}}
  learning_rate: {{distribution: log_uniform_values, min: 1.0e-4, max: 0.1}}
  hidden: {{values: [16, 64, 128]}}
  dropout: {{distribution: uniform, min: 0.0, max: 0.6}}
  embedding: {{values: [2, 4, 8]}}
  weight_decay: {{distribution: log_uniform_values, min: 1.0e-4, max: 0.1}}
"""
RULES = {"hyperband": "early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n", "all": ""}


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAILPLANE_HOME"] = str(Path(folder, "home"))
        home = Home.find()
        shared = _shared(home)
        found = {rule: [_searched(home, shared, rule, seed) for seed in range(SEEDS)] for rule in RULES}
    peer = f"random search, every trial to its end; mean of {SEEDS} seeds"
    scores, epochs = ([statistics.mean(run[n] for run in found[rule]) for rule in RULES] for n in (0, 1))
    yield Row("early stopping, best validation AUC", *scores, "AUC", peer, "at least it")
    yield Row("early stopping, epochs", *epochs, "epochs", peer, "at most a third")


def _shared(home: Home) -> dict[str, Any]:
    data: Any = code.load("include.flights.data")
    dataset = ingest(
        Storage(home.store),
        name="flights",
        extract=data.extract,
        schema=data.SCHEMA,
        time="scheduled_departure",
        interval=Interval.trailing(AS_OF, WINDOW_DAYS),
    )
    paths = {"features": "include.flights.features", "train": "include.flights.model:train"}
    return {"model": "flights", "dataset": dataset, "as_of": AS_OF, **paths}


def _searched(home: Home, shared: dict[str, Any], rule: str, seed: int) -> tuple[float, int]:
    """The best score, and the epochs of all trials."""
    ledger, sweep = Ledger.create(home.ledger), f"flights/{rule}-{seed}"
    queue.create_sweep(ledger, sweep, parse(TEXT + RULES[rule]), seed=seed)
    workers = [Job(home.jobs / f"{rule}-{seed}.{n}") for n in range(2)]
    for n, worker in enumerate(workers):
        worker.start(SweepWorkerSpec(sweep=sweep, worker=f"worker {n}", **shared))
    for worker in workers:
        while worker.state() == "running":
            time.sleep(0.5)
        worker.result()
    found = results.trials(ledger, sweep)
    return results.best_trial(ledger, sweep).score or 0.0, sum(len(trial.values) for trial in found)
