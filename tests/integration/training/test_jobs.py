"""Jobs in real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import wandb

from sailplane.errors import JobError, TrainingError
from sailplane.home import Home
from sailplane.records import Run
from sailplane.services import orphans
from sailplane.storage import Storage
from sailplane.training.jobs import Job, running
from sailplane.training.specs import TrainSpec

Make = Callable[..., TrainSpec]
DEADLINE = 90.0


@pytest.fixture
def job(home: Home) -> Iterator[Job]:
    job = Job(home.jobs / "toy" / "train")
    yield job
    job.stop(grace=5)


def wait(job: Job, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, job.read_log()[0]
        time.sleep(0.05)


def wait_for_end(job: Job) -> None:
    wait(job, lambda: job.state() != "running")


def wait_for_line(job: Job, line: str) -> None:
    wait(job, lambda: line in job.read_log()[0].splitlines())


def test_a_job_leaves_its_run_and_its_log(job: Job, spec: Make) -> None:
    handle = job.start(spec(config={"epochs": 2}))
    assert job.start(spec()) == handle, "a job that runs is not started twice"
    text, offset = "", 0
    while True:
        active = job.state() == "running"
        piece, offset = job.read_log(offset)
        text += piece
        assert not active or piece == "" or piece.endswith("\n")
        if not active:
            break
        time.sleep(0.05)
    assert job.state() == "succeeded", text
    run = Run.from_dict(job.result())
    assert run.metrics["validation_auc"] > 0.5
    assert "step 1: train_loss" in text
    assert text == job.log.read_text()
    assert {oct(file.stat().st_mode & 0o77) for file in job.folder.iterdir()} == {"0o0"}


def test_the_error_of_the_process_is_raised_as_it_was(job: Job, spec: Make) -> None:
    handle = job.start(spec("raises"))
    wait_for_end(job)
    with pytest.raises(TrainingError, match=r"division by zero \(model.py:\d+ in _divide\)\. The log holds"):
        job.result()
    assert "Traceback" in job.read_log()[0]
    (job.folder / "error.json").unlink()
    assert_not_taken_for_ours(job, {"pid": os.getpid(), "created": handle["created"] - 60})


def assert_not_taken_for_ours(job: Job, handle: dict[str, float]) -> None:
    """This test's own process now has the pid of our job."""
    (job.folder / "process.json").write_text(json.dumps(handle))
    assert job.state() == "failed"
    job.stop()
    with pytest.raises(JobError, match="it ended without a result"):
        job.result()


def test_a_killed_job_has_one_clear_error_and_goes_on_from_its_checkpoint(job: Job, spec: Make, home: Home) -> None:
    job.start(spec("is_killed"))
    wait_for_end(job)
    with pytest.raises(JobError, match="it ended without a result \\(killed by SIGKILL, often for memory\\)"):
        job.result()
    assert {path.split("/")[3] for path in Storage(home.store).list("runs")} == {"checkpoints"}
    job.start(spec("is_killed"))
    wait_for_end(job)
    assert "step 1: train_loss" in job.read_log()[0]
    assert "step 0: train_loss" not in job.read_log()[0]
    assert Run.from_dict(job.result()).metrics["validation_auc"] > 0.5
    left = {path.name for path in job.folder.iterdir()}
    assert left == {"job.json", "process.json", "log.txt", "result.json"}, "what the killed one began is gone too"
    assert not [path for path in Storage(home.store).list("runs") if "checkpoints" in path]


def test_sigterm_finishes_the_wandb_run_and_another_handle_finds_and_stops_the_same_job(
    job: Job, spec: Make, home: Home
) -> None:
    handle = job.start(spec("hangs"))
    wait_for_line(job, "hanging")
    # Jobs inside a job's folder are not listed, because that folder may disappear at any moment.
    shutil.copytree(job.folder, job.folder / "scratch" / "copy", ignore=shutil.ignore_patterns("scratch"))
    assert [found.folder for found in running(home.jobs)] == [job.folder]
    with pytest.raises(JobError, match="it is still running"):
        job.result()
    Job(job.folder).stop()
    assert not psutil.pid_exists(handle["pid"])
    assert list(running(home.jobs)) == []
    with pytest.raises(JobError, match=r"train was stopped by SIGTERM"):
        job.result()
    assert_recorded(home)


def test_down_in_the_middle_of_a_training_finishes_its_wandb_run_first(
    job: Job, spec: Make, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(orphans.MARK, "scheduler")
    job.start(spec("hangs"))
    wait_for_line(job, "hanging")
    orphans.kill_all(home)
    with pytest.raises(JobError, match=r"train was stopped by SIGTERM"):
        job.result()
    assert_recorded(home)


def assert_recorded(home: Home) -> None:
    (record,) = (home.root / "wandb").glob("offline-run-*/run-*.wandb")
    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    command = [core, "leet", "inspect", "-no-observability", "-json", "-summary", "-run-file", record, "."]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (read["exit_code"], read["summary"]["train_loss"]) == (1, 0.75)


def test_a_job_that_was_never_started_says_so(job: Job) -> None:
    with pytest.raises(JobError, match="it was not started"):
        job.result()
