"""The first project's own code and data, over a small window, in real processes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.evaluation import evaluate
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Run
from sailplane.storage import Storage
from sailplane.sweeps import queue, results
from sailplane.sweeps.space import read_sweep
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec

AS_OF = datetime(2026, 7, 5, tzinfo=UTC)
DEADLINE = 180.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return Home.find()


def run_to_the_end(*jobs: Job) -> list[dict[str, Any]]:
    deadline = time.monotonic() + DEADLINE
    while any(job.state() == "running" for job in jobs):
        if time.monotonic() > deadline:
            for job in jobs:
                job.stop(grace=1)
            raise AssertionError("\n".join(job.read_log()[0] for job in jobs))
        time.sleep(0.05)
    return [job.result() for job in jobs]


def test_a_training_and_a_sweep_of_two_workers_end_with_a_model_that_passes_the_gate(home: Home) -> None:
    storage, data = Storage(home.store), code.load("include.flights.data")
    dataset = ingest(
        storage,
        name="flights",
        extract=data.extract,
        schema=data.SCHEMA,
        time="scheduled_departure",
        interval=Interval.trailing(AS_OF, 42),
    )
    shared: dict[str, Any] = {
        "model": "flights",
        "dataset": dataset,
        "as_of": AS_OF,
        "features": "include.flights.features",
        "train": "include.flights.model:train",
    }
    training = Job(home.jobs / "train")
    training.start(TrainSpec(run="flights/t/train", baseline="include.flights.model:baseline", **shared))
    trained = Run.from_dict(run_to_the_end(training)[0])
    ledger = Ledger.at(home)
    queue.create_sweep(ledger, "flights/t", read_sweep(home.project / "include/flights/sweep.yaml", run_cap=2))
    workers = [Job(home.jobs / f"worker.{n}") for n in range(2)]
    for n, worker in enumerate(workers):
        worker.start(SweepWorkerSpec(sweep="flights/t", worker=f"worker {n}", **shared))
    assert sum(result["finished"] for result in run_to_the_end(*workers)) == 2
    evaluation = evaluate(storage, run=results.best(ledger, "flights/t"), baseline=trained.baseline)
    assert evaluation.passed, evaluation.reasons
    # Much more than this would mean that something that is known only afterwards got in.
    assert 0.6 < evaluation.metrics["challenger"]["auc"] < 0.8
