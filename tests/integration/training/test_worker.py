"""Sweep workers in real processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from sailplane.errors import TrainingError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage import Storage
from sailplane.sweeps import queue
from sailplane.sweeps.space import parse
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from sailplane.training.worker import work

Make = Callable[..., TrainSpec]
DEADLINE = 120.0
SWEEP = """\
method: grid
metric: {name: validation_auc, goal: maximize}
parameters:
  learning_rate: {values: [0.01, 0.1, 1.0, 3.0]}
"""


def worker(spec: TrainSpec, name: str, **changes: Any) -> SweepWorkerSpec:
    kept = {key: getattr(spec, key) for key in ("model", "dataset", "as_of", "features", "train", "config")}
    return SweepWorkerSpec(**{"sweep": "toy/s", "worker": name, **kept, **changes})


def create(home: Home, text: str = SWEEP) -> Ledger:
    ledger = Ledger.at(home)
    queue.create_sweep(ledger, "toy/s", parse(text), seed=5)
    return ledger


def run_to_the_end(*jobs: Job) -> None:
    deadline = time.monotonic() + DEADLINE
    while any(job.state() == "running" for job in jobs):
        if time.monotonic() > deadline:
            for job in jobs:
                job.stop(grace=1)
            raise AssertionError("\n".join(job.read_log()[0] for job in jobs))
        time.sleep(0.05)


def test_two_workers_share_the_trials_and_the_best_has_a_bundle(home: Home, spec: Make) -> None:
    ledger = create(home)
    jobs = [Job(home.jobs / f"worker.{n}") for n in range(2)]
    for n, job in enumerate(jobs):
        job.start(worker(spec(), f"worker {n}"))
    run_to_the_end(*jobs)
    assert sum(job.result()["finished"] for job in jobs) == 4
    trials = queue.trials(ledger, "toy/s")
    assert [trial.state for trial in trials] == ["finished"] * 4
    assert all(trial.run and trial.run.metrics["validation_auc"] == trial.score for trial in trials)
    best = queue.best(ledger, "toy/s")
    assert (best.sweep, best.config["learning_rate"]) == ("toy/s", trials[best.trial or 0].config["learning_rate"])
    assert best.seed == 5 + (best.trial or 0)
    storage = Storage(home.store)
    assert storage.exists(f"{storage.path(best.bundle)}/manifest.json")
    lines = "".join(job.read_log()[0] for job in jobs)
    assert all(f"trial {n}: validation_auc 0." in lines for n in range(4))


def test_a_trial_that_fails_costs_itself_only(home: Home, spec: Make, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = create(home)
    assert work(worker(spec("fails_for_small_rates"), "worker"), home.jobs / "w") == {"finished": 2, "failed": 2}
    assert [trial.state for trial in queue.trials(ledger, "toy/s")] == ["failed", "failed", "finished", "finished"]
    assert "ValueError: too small (model.py:" in queue.failures(ledger, "toy/s")[0]
    assert "trial 0: failed: train include.toy.model:fails_for_small_rates: ValueError" in capsys.readouterr().out


def test_a_metric_that_no_trial_reports_fails_with_those_that_there_are(home: Home, spec: Make) -> None:
    ledger = create(home, SWEEP.replace("validation_auc", "validation_acu"))
    work(worker(spec(), "worker"), home.jobs / "w")
    with pytest.raises(TrainingError, match=r"no metric 'validation_acu'; expected the sweep's metric, one of .*auc"):
        queue.best(ledger, "toy/s")


def test_a_killed_workers_trial_is_finished_by_another(home: Home, spec: Make) -> None:
    ledger, killed = create(home), Job(home.jobs / "killed")
    killed.start(worker(spec("is_killed"), "killed", lease_seconds=1.0))
    run_to_the_end(killed)
    assert killed.state() == "failed"
    assert work(worker(spec(), "other"), home.jobs / "other") == {"finished": 4, "failed": 0}
    assert [trial.state for trial in queue.trials(ledger, "toy/s")] == ["finished"] * 4


def test_a_stopped_worker_gives_its_trial_back_at_once(home: Home, spec: Make) -> None:
    ledger = create(home)
    with pytest.raises(SystemExit):
        work(worker(spec("is_stopped"), "worker", lease_seconds=600.0), home.jobs / "w")
    again = queue.ask(ledger, "toy/s", "other")
    assert again is not None
    assert again.number == 0
