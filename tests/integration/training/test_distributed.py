"""Several processes train one model under torchrun."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest

from sailplane.errors import JobError, TrainingError
from sailplane.home import Home
from sailplane.records import Run
from sailplane.storage import Storage
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.integration.training.test_jobs import wait, wait_for_end
from tests.integration.training.test_resume import steps

Make = Callable[..., TrainSpec]


@pytest.fixture
def job(home: Home) -> Iterator[Job]:
    job = Job(home.jobs / "toy" / "train")
    yield job
    job.stop(grace=20)


def ended(job: Job) -> Run:
    wait_for_end(job)
    assert job.state() == "succeeded", job.read_log()[0]
    return Run.from_dict(job.result())


def history(home: Home, run: str) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(Storage(home.store).get(f"runs/{run}/history.json"))
    return rows


def ranks(handle: dict[str, int]) -> list[psutil.Process]:
    return [child for child in psutil.Process(handle["pid"]).children() if "RANK" in child.environ()]


def test_two_processes_learn_what_one_does(job: Job, spec: Make, home: Home) -> None:
    """It takes 20 seconds: three processes import torch and train."""
    config = {"dropout": 0.0, "epochs": 4}
    alone = Job(home.jobs / "alone")
    alone.start(spec("learns_by_batches", run="toy/alone", config=config))
    one = ended(alone)
    job.start(
        spec("learns_by_batches", run="toy/two", config=config, processes=2, baseline="include.toy.model:baseline")
    )
    two = ended(job)
    assert two.metrics["validation_auc"] == pytest.approx(one.metrics["validation_auc"], abs=0.002)
    assert "baseline_validation_auc" in two.metrics
    losses = [[row["train_loss"] for row in history(home, run)] for run in ("toy/alone", "toy/two")]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    made = {path.split("/")[3] for path in Storage(home.store).list("runs/toy/two")}
    assert made == {"bundle", "baseline", "history.json"}


def test_a_dead_process_fails_all_and_the_next_try_goes_on(job: Job, spec: Make) -> None:
    """It takes 20 seconds: two tries of two processes, each of which imports torch."""
    told = spec("learns_by_batches", config={"die_in": 3}, processes=2)
    job.start(told)
    wait_for_end(job)
    with pytest.raises(
        JobError, match=r"process 1 of 2 was killed by SIGKILL. The others were stopped; a retry continues"
    ):
        job.result()
    job.start(told)
    ended(job)
    # The first process may have kept the epoch in which the second process died.
    assert steps(job)[0] in (3, 4)


def test_the_error_of_one_process_is_the_error_of_the_training(job: Job, spec: Make) -> None:
    job.start(spec("raises_in_the_second_process", processes=2))
    wait_for_end(job)
    with pytest.raises(TrainingError, match=r"raises_in_the_second_process: ValueError: the second one"):
        job.result()


@pytest.mark.parametrize("killed", [False, True])
def test_they_listen_on_loopback_only_and_end_with_the_job(job: Job, spec: Make, killed: bool) -> None:
    """It takes 20 seconds: both processes import torch before they train."""
    handle = job.start(spec("learns_by_batches", config={"pause": 0.5}, processes=2))
    wait(job, lambda: "step 1: train_loss" in job.read_log()[0])
    both = ranks(handle)
    assert len(both) == 2
    assert set(listening(psutil.Process(handle["pid"]))) <= {"127.0.0.1", "::1"}
    if killed:
        os.kill(handle["pid"], signal.SIGKILL)
    else:
        job.stop(grace=20)
    assert psutil.wait_procs(both, timeout=30)[1] == []
    wait_for_end(job)
    assert job.state() == "failed"


def listening(process: psutil.Process) -> list[str]:
    """Returns the addresses on which the process and its descendants listen."""
    family = [process, *process.children(recursive=True)]
    sockets = [socket for each in family for socket in each.net_connections("inet")]
    return [socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN]
