"""Random search on flights with early stopping, compared with the same search in which every trial runs to its end.
File, seeds and configurations are the same, with two workers each. Then each rule is simulated over the curves of the
whole trials, in many orders, to see how often it stops the best one. BENCH_SEEDS=1 for a first look, BENCH_RECORD=1 to
keep the curves for tests/soak."""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sailplane import code
from sailplane.datasets import ingest
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Trial
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.space import parse
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec
from tests.benchmarks.row import Row
from tests.learning_curves import RECORDED, Curves, play, recorded, shuffled

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
# Long trials, as those for which early stopping is used.
WINDOW_DAYS, TRIALS, EPOCHS = 196, 27, 27
SEEDS, ORDERS = int(os.environ.get("BENCH_SEEDS", "4")), 50
# Wider than the project's own space, in which every trial is good.
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
RULES = {
    "hyperband": "early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n",
    "asha": "sailplane: {asha: {min_iter: 1, eta: 3}}\n",
    "careful": "sailplane: {asha: {min_iter: 1, eta: 3, patience: 2, whole_trials: 8}}\n",
}
TITLES = {"hyperband": "hyperband", "asha": "asha", "careful": "asha, patience 2, 8 whole trials"}


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAILPLANE_HOME"] = str(Path(folder, "home"))
        home = Home.find()
        shared = _shared(home)
        whole = [_searched(home, shared, "all", seed) for seed in range(SEEDS)]
        assert {len(trial.values) for sweep in whole for trial in sweep} == {EPOCHS}
        found = {rule: [_searched(home, shared, rule, seed) for seed in range(SEEDS)] for rule in RULES}
    if os.environ.get("BENCH_RECORD"):
        _record(whole)
    for rule, sweeps in found.items():
        _assert_same_trials(sweeps, whole)
        yield from _run_rows(TITLES[rule], sweeps, whole)
    curves = [_curves(sweep) for sweep in whole]
    for rule in RULES:
        yield from _played_rows(rule, curves)


def _run_rows(title: str, sweeps: list[list[Trial]], whole: list[list[Trial]]) -> Iterator[Row]:
    peer = f"every trial to its end; mean of {len(whole)} seeds"
    scores = (statistics.mean(max(trial.score or 0.0 for trial in one) for one in each) for each in (sweeps, whole))
    epochs = (statistics.mean(sum(len(trial.values) for trial in one) for one in each) for each in (sweeps, whole))
    yield Row(f"{title}: best validation AUC", *scores, "AUC", peer)
    yield Row(f"{title}: epochs", *epochs, "epochs", peer)


def _played_rows(rule: str, sweeps: list[Curves]) -> Iterator[Row]:
    """Simulates each order in which another seed might have given the same trials."""
    stopping = parse(TEXT + RULES[rule]).stopping
    assert stopping
    draw = np.random.default_rng(0)
    played = [play(shuffled(curves, draw), stopping, workers=2) for curves in sweeps for _ in range(ORDERS)]
    lost = sum(one.best_stopped for one in played)
    yield Row(f"{TITLES[rule]}: sweeps that stop their best trial", lost, len(played), "sweeps", "all that were played")
    cost = 100 * statistics.mean(one.cost for one in played)
    yield Row(f"{TITLES[rule]}: epochs, played", cost, 100, "%", "every trial to its end")


def _curves(trials: list[Trial]) -> Curves:
    return Curves([[-value for value in trial.values] for trial in trials], [-(trial.score or 0.0) for trial in trials])


def _record(sweeps: list[list[Trial]]) -> None:
    rounded = [[[round(t.score or 0.0, 5), [round(v, 5) for v in t.values]] for t in sweep] for sweep in sweeps]
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps({"sweeps": rounded}) + "\n")
    assert len(recorded()) == len(sweeps)


def _assert_same_trials(sweeps: list[list[Trial]], whole: list[list[Trial]]) -> None:
    """Raises unless both searches have the same configurations, with the same values up to the stop."""
    for ours, theirs in zip(sweeps, whole, strict=True):
        assert [trial.config for trial in ours] == [trial.config for trial in theirs]
        for one, other in zip(ours, theirs, strict=True):
            values = zip(one.values, other.values, strict=False)
            assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in values), f"trial {one.number} learned otherwise"


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


def _searched(home: Home, shared: dict[str, Any], rule: str, seed: int) -> list[Trial]:
    """Runs the search. Returns its trials, all of which finished."""
    ledger, sweep = Ledger.create(home.ledger), f"flights/{rule}-{seed}"
    lifecycle.create(ledger, sweep, parse(TEXT + RULES.get(rule, "")), seed=seed)
    workers = [Job(home.jobs / f"{rule}-{seed}.{n}") for n in range(2)]
    for n, worker in enumerate(workers):
        worker.start(SweepWorkerSpec(sweep=sweep, worker=f"worker {n}", **shared))
    for worker in workers:
        while worker.state() == "running":
            time.sleep(0.5)
        worker.result()
    found = list(results.trials(ledger, sweep))
    assert [trial.state for trial in found] == ["finished"] * TRIALS, results.failures(ledger, sweep)
    return found
