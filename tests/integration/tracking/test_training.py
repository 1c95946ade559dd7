"""Trainings and trials in separate processes, as the platform runs them, with a key in their environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sailplane.errors import JobError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.sweeps import lifecycle
from sailplane.sweeps.space import parse
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from tests.platform import until
from tests.wandb_server import KEY, WandbServer

Make = Callable[..., TrainSpec]
SWEEP = """\
method: grid
metric: {name: validation_auc, goal: maximize}
parameters:
  learning_rate: {values: [0.1, 1.0]}
"""


@pytest.fixture
def job(home: Home) -> Iterator[Job]:
    job = Job(home.jobs / "toy")
    yield job
    job.stop(grace=5)


def wait_for_end(job: Job) -> None:
    until(lambda: None if job.state() == "running" else True, 60, "the end of the training")
    assert job.state() == "succeeded", job.read_log()[0]


def test_a_training_is_a_run_at_the_server(server: WandbServer, job: Job, spec: Make, home: Home) -> None:
    job.start(spec(config={"epochs": 2}))
    wait_for_end(job)
    (run,) = server.runs.values()
    assert (run.project, run.name, run.group, run.state) == ("toy", "toy/train", "toy/train", "finished")
    assert run.config == {"epochs": 2, "seed": 0, "dataset": spec().dataset.version}
    assert [row["_step"] for row in run.history] == [0, 1]
    metrics = job.result()["metrics"]
    assert {name: run.summary[name] for name in metrics} == pytest.approx(metrics)
    assert KEY not in job.read_log()[0]
    assert [file for file in home.root.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()] == []


def test_each_trial_of_a_sweep_is_a_run_in_the_sweeps_group(
    server: WandbServer, job: Job, spec: Make, home: Home
) -> None:
    lifecycle.create(Ledger.create(home.ledger), "toy/s", parse(SWEEP), seed=5)
    kept = {name: getattr(spec(), name) for name in ("model", "dataset", "as_of", "features", "train")}
    job.start(SweepWorkerSpec(sweep="toy/s", worker="worker", **kept))
    wait_for_end(job)
    assert {run.config["learning_rate"]: (run.group, run.state) for run in server.runs.values()} == {
        0.1: ("toy/s", "finished"),
        1.0: ("toy/s", "finished"),
    }


def test_a_training_that_is_stopped_ends_its_run_at_the_server(server: WandbServer, job: Job, spec: Make) -> None:
    job.start(spec("hangs"))
    until(lambda: True if "hanging" in job.read_log()[0] else None, 60, "the training to hang")
    (run,) = server.runs.values()
    assert run.state == "running"
    job.stop()
    with pytest.raises(JobError, match="was stopped by SIGTERM"):
        job.result()
    assert (run.state, run.exit_code, [row["train_loss"] for row in run.history]) == ("failed", 1, [0.75])
