"""The first project's own code and data, over a small window, in real processes.

It takes half a minute: it trains a model and runs a sweep with two workers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.evaluation import evaluate
from sailplane.evaluation.report import publish
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Run
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.file import SweepFile
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from tests import one_training
from tests.homes import new_home

AS_OF = datetime(2026, 7, 5, tzinfo=UTC)
DEADLINE = 180.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


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
    ledger = Ledger.create(home.ledger)
    lifecycle.create(ledger, "flights/t", SweepFile.read(home.project / "include/flights/sweep.yaml").limited(2))
    workers = [Job(home.jobs / f"worker.{n}") for n in range(2)]
    for n, worker in enumerate(workers):
        worker.start(SweepWorkerSpec(sweep="flights/t", worker=f"worker {n}", **shared))
    assert sum(result["finished"] for result in run_to_the_end(*workers)) == 2
    evaluation = evaluate(storage, run=results.best(ledger, "flights/t"), baseline=trained.baseline)
    publish(storage, ledger, evaluation)
    _check_footprint(home, evaluation.run.id)
    assert evaluation.passed, evaluation.reasons
    # A much better score would mean that the model has seen data that is known only later.
    assert 0.6 < evaluation.metrics["challenger"]["auc"] < 0.8


def _check_footprint(home: Home, judged: str) -> None:
    """One training leaves no more bytes than the operations guide assumes for its figures of a year."""
    store = home.root / "store"
    report = on_disk(store / f"runs/{judged}/report.html")
    sizes = {
        "training": (on_disk(store / "runs/flights/t/train"), one_training.TRAINING_BYTES),
        "trial": (on_disk(store / f"runs/{judged}") - report, one_training.TRAINING_BYTES),
        "report": (report, one_training.REPORT_BYTES),
        "job": (on_disk(home.jobs / "train"), one_training.JOB_BYTES),
        "W&B run": (max(map(on_disk, (home.root / "wandb").glob("offline-run-*"))), one_training.WANDB_BYTES),
    }
    assert {name: size for name, (size, most) in sizes.items() if not 0 < size <= most} == {}


def on_disk(path: Path) -> int:
    return sum(one.lstat().st_blocks * 512 for one in (path, *path.rglob("*")))
