"""Trainings that are killed at any moment, and a disk that returns damaged content."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

from sailplane.home import Home
from sailplane.records import Run
from sailplane.storage import Storage
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.integration.training.test_jobs import wait, wait_for_end

Make = Callable[..., TrainSpec]
EPOCHS, KILLS = 24, 8


def graph(home: Home, run: str) -> bytes:
    return Storage(home.store).get(f"runs/{run}/bundle/model.onnx")


def steps(job: Job) -> list[int]:
    """Returns the steps in the log of this try."""
    lines = job.read_log()[0].splitlines()
    return [int(line.split()[1].rstrip(":")) for line in lines if line.startswith("step ")]


def test_a_training_that_is_killed_again_and_again_ends_in_the_very_same_weights(home: Home, spec: Make) -> None:
    """It takes a minute: the training starts in a new process after each kill."""
    unbroken = Job(home.jobs / "unbroken")
    unbroken.start(spec("learns_by_batches", run="toy/unbroken", config={"epochs": EPOCHS}))
    wait_for_end(unbroken)
    broken, draw, reached = Job(home.jobs / "broken"), random.Random(5), -1
    told = spec("learns_by_batches", run="toy/broken", config={"epochs": EPOCHS, "pause": 0.05})
    for _ in range(KILLS):
        handle = broken.start(told)
        more = reached + draw.randint(1, 3)
        wait(broken, lambda more=more: broken.state() != "running" or max(steps(broken), default=-1) >= more)
        # At a random moment of the epoch or of its checkpoint.
        signal.sigtimedwait([], draw.uniform(0, 0.08))
        os.kill(handle["pid"], signal.SIGKILL)
        wait_for_end(broken)
        seen = steps(broken)
        assert seen[0] >= reached, "the checkpoint of the epoch that was logged last may be missing, no other"
        reached = seen[-1]
    broken.start(told)
    wait_for_end(broken)
    assert broken.state() == "succeeded", broken.read_log()[0]
    assert steps(broken)[0] >= reached
    assert graph(home, "toy/broken") == graph(home, "toy/unbroken")
    metrics = [Run.from_dict(job.result()).metrics for job in (unbroken, broken)]
    assert metrics[0] == metrics[1]
    history = [Storage(home.store).get(f"runs/toy/{name}/history.json") for name in ("unbroken", "broken")]
    assert history[0] == history[1]


def test_a_damaged_checkpoint_costs_one_epoch_and_no_bit(home: Home, spec: Make, tmp_path: Path) -> None:
    """It takes 20 seconds: three trainings, each in a new process."""
    unbroken = Job(home.jobs / "unbroken")
    unbroken.start(spec("learns_by_batches", run="toy/unbroken"))
    wait_for_end(unbroken)
    job, told = Job(home.jobs / "damaged"), spec("learns_by_batches", run="toy/damaged", config={"pause": 0.2})
    handle = job.start(told)
    wait(job, lambda: max(steps(job), default=-1) >= 3)
    os.kill(handle["pid"], signal.SIGKILL)
    wait_for_end(job)
    newest = max(Path(home.root, "store", told.shelf).glob("last-*"))
    newest.write_bytes(newest.read_bytes()[:1000])
    job.start(spec("learns_by_batches", run="toy/damaged", config={"pause": 0.2}))
    wait_for_end(job)
    assert job.state() == "succeeded", job.read_log()[0]
    assert f"checkpoint {newest.name} is damaged" in job.read_log()[0]
    assert graph(home, "toy/damaged") == graph(home, "toy/unbroken")


def test_another_specification_of_the_same_run_begins_anew(home: Home, spec: Make) -> None:
    job = Job(home.jobs / "job")
    handle = job.start(spec("learns_by_batches", config={"pause": 0.2}))
    wait(job, lambda: max(steps(job), default=-1) >= 2)
    os.kill(handle["pid"], signal.SIGKILL)
    wait_for_end(job)
    job.start(spec("learns_by_batches", seed=7))
    wait_for_end(job)
    assert steps(job)[0] == 0
