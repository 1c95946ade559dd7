"""Sweep workers in real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from sailplane.deployment.http_client import wait_until
from sailplane.errors import TrainingError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, queue, results
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
    ledger = Ledger.create(home.ledger)
    lifecycle.create(ledger, "toy/s", parse(text), seed=5)
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
    trials = results.trials(ledger, "toy/s")
    assert [trial.state for trial in trials] == ["finished"] * 4
    assert all(trial.run and trial.run.metrics["validation_auc"] == trial.score for trial in trials)
    best = results.best(ledger, "toy/s")
    assert (best.sweep, best.config["learning_rate"]) == ("toy/s", trials[best.trial or 0].config["learning_rate"])
    assert best.seed == 5 + (best.trial or 0)
    storage = Storage(home.store)
    assert storage.exists(f"{storage.path(best.bundle)}/manifest.json")
    lines = "".join(job.read_log()[0] for job in jobs)
    assert all(f"trial {n}: validation_auc 0." in lines for n in range(4))
    assert f"{'█' * 20} 4 of 4" in lines


def test_a_trial_that_fails_costs_itself_only(home: Home, spec: Make, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = create(home)
    assert work(worker(spec("fails_for_small_rates"), "worker"), home.jobs / "w") == {"finished": 2, "failed": 2}
    assert [trial.state for trial in results.trials(ledger, "toy/s")] == ["failed", "failed", "finished", "finished"]
    assert "ValueError: too small (model.py:" in results.failures(ledger, "toy/s")[0]
    assert "trial 0: failed: train include.toy.model:fails_for_small_rates: ValueError" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trial_whose_graph_fails_for_one_row_fails(home: Home, spec: Make) -> None:
    ledger = create(home)
    done = work(worker(spec("fails_for_one_row_with_small_rates"), "worker"), home.jobs / "w")
    assert done == {"finished": 2, "failed": 2}
    assert [trial.state for trial in results.trials(ledger, "toy/s")] == ["failed", "failed", "finished", "finished"]
    assert "in a batch of 1 row; expected scores" in results.failures(ledger, "toy/s")[0]


def test_a_metric_that_no_trial_reports_fails_with_those_that_there_are(home: Home, spec: Make) -> None:
    ledger = create(home, SWEEP.replace("validation_auc", "validation_acu"))
    work(worker(spec(), "worker"), home.jobs / "w")
    with pytest.raises(TrainingError, match=r"no metric 'validation_acu'; expected the sweep's metric, one of .*auc"):
        results.best(ledger, "toy/s")


def test_a_trial_that_kills_its_process_costs_itself_only(home: Home, spec: Make) -> None:
    """The trial dies as one that runs out of memory does. After three deaths no worker gets it, and the worker
    continues. It waits for no lease, because the new process knows which trial the dead one held. It takes half a
    minute: each death is followed by a new process that imports torch."""
    ledger, job = create(home), Job(home.jobs / "worker")
    job.start(worker(spec("kills_its_process_for_small_rates"), "worker", lease_seconds=600.0))
    run_to_the_end(job)
    assert [trial.state for trial in results.trials(ledger, "toy/s")] == ["failed", *["finished"] * 3]
    assert results.failures(ledger, "toy/s")[0].startswith("the trial killed 3 workers: worker ")
    assert job.read_log()[0].count("The worker's process was killed by SIGKILL, often for memory.") == 3


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("sailplane: {max_trial_time: 1s}\n", "longer than max_trial_time, and ignored its stop request"),
        ("", "it logged nothing for "),
    ],
)
def test_a_trial_that_hangs_costs_itself_only(home: Home, spec: Make, limit: str, reason: str) -> None:
    """It takes half a minute: the trial hangs for several seconds before the worker's process is killed and
    replaced."""
    ledger, job = create(home, SWEEP + limit), Job(home.jobs / "worker")
    job.start(worker(spec("hangs_for_small_rates"), "worker", lease_seconds=1.0, hung_seconds=5.0))
    run_to_the_end(job)
    assert [trial.state for trial in results.trials(ledger, "toy/s")] == ["failed", *["finished"] * 3]
    assert reason in results.failures(ledger, "toy/s")[0]
    log = job.read_log()[0]
    assert re.search(r'File ".*model\.py", line \d+ in hangs_for_small_rates', log)
    assert log.count("The worker's process was killed by SIGKILL") == 1


def test_a_trial_whose_time_is_up_ends_with_what_it_reached(home: Home, spec: Make) -> None:
    text = SWEEP.replace("[0.01, 0.1, 1.0, 3.0]", "[0.1]").replace("validation_auc", "learned")
    ledger, job = create(home, text + "sailplane: {max_trial_time: 6s}\n"), Job(home.jobs / "worker")
    job.start(worker(spec("learns_until_told"), "worker", lease_seconds=0.5))
    run_to_the_end(job)
    (trial,) = results.trials(ledger, "toy/s")
    assert (trial.state, trial.score) == ("finished", trial.values[-1])


def test_a_worker_whose_starter_dies_ends_too(home: Home, spec: Make) -> None:
    """Otherwise it would write into the folder of its replacement."""
    create(home)
    job = Job(home.jobs / "worker")
    handle = job.start(worker(spec("waits_for_the_end"), "worker"))
    assert wait_until(lambda: "waiting for the end" in job.read_log()[0], seconds=DEADLINE)
    (child,) = psutil.Process(handle["pid"]).children()
    os.kill(handle["pid"], signal.SIGKILL)
    assert psutil.wait_procs([child], timeout=DEADLINE)[1] == []


def test_a_killed_workers_trial_goes_on_from_its_checkpoint_in_another_worker(
    home: Home, spec: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint is in the store, not in the dead worker's folder."""
    ledger = create(home, SWEEP.replace("[0.01, 0.1, 1.0, 3.0]", "[0.1]").replace("validation_auc", "learned"))
    killed = Job(home.jobs / "killed")
    killed.start(worker(spec("is_killed_half_way"), "killed", lease_seconds=1.0))
    run_to_the_end(killed)
    assert killed.state() == "failed"
    shutil.rmtree(home.jobs / "killed")
    assert work(worker(spec("is_killed_half_way"), "other"), home.jobs / "other") == {"finished": 1, "failed": 0}
    assert "epochs 3..5" in capsys.readouterr().out
    (trial,) = results.trials(ledger, "toy/s")
    assert (trial.values, trial.score) == ((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), 5.0)
    assert not [path for path in Storage(home.store).list() if "checkpoints" in path]


def test_a_stopped_worker_gives_its_trial_back_at_once(home: Home, spec: Make) -> None:
    ledger = create(home)
    with pytest.raises(SystemExit):
        work(worker(spec("is_stopped"), "worker", lease_seconds=600.0), home.jobs / "w")
    again = queue.ask(ledger, "toy/s", "other")
    assert again is not None
    assert again.number == 0


def test_the_values_of_an_earlier_attempt_count_for_early_stopping(home: Home, spec: Make) -> None:
    text = SWEEP.replace("[0.01, 0.1, 1.0, 3.0]", "[0.1]").replace("validation_auc", "learned")
    ledger = create(home, text + "early_terminate: {type: hyperband, min_iter: 1}\n")
    with pytest.raises(SystemExit):
        work(worker(spec("is_stopped_after_its_last_epoch"), "first"), home.jobs / "first")
    second = worker(spec("is_stopped_after_its_last_epoch"), "second")
    assert work(second, home.jobs / "second") == {"finished": 1, "failed": 0}
    (trial,) = results.trials(ledger, "toy/s")
    assert (trial.values, trial.score) == ((0.0, 1.0), 1.0)


def test_a_loser_is_stopped_early_and_the_log_says_so(
    home: Home, spec: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = "[1.0, 0.1, 3.0, 0.01]"
    ledger = create(home, SWEEP.replace("[0.01, 0.1, 1.0, 3.0]", rates) + "sailplane: {asha: {min_iter: 2, eta: 2}}\n")
    assert work(worker(spec("learns"), "worker"), home.jobs / "w") == {"finished": 4, "failed": 0}
    assert [len(trial.values) for trial in results.trials(ledger, "toy/s")] == [20, 2, 20, 2]
    assert "s, stopped early after 2 values" in capsys.readouterr().out


def test_early_stopping_by_a_metric_that_is_never_logged_is_an_error(home: Home, spec: Make) -> None:
    ledger = create(home, SWEEP + "early_terminate: {type: hyperband, min_iter: 1}\n")
    assert work(worker(spec(), "worker"), home.jobs / "w") == {"finished": 0, "failed": 4}
    with pytest.raises(TrainingError, match=r"'validation_auc' was never logged, .*Log it each epoch: run.log\("):
        results.best(ledger, "toy/s")


def test_a_sweep_that_is_stopped_ends_well_with_the_best_so_far(home: Home, spec: Make) -> None:
    """Its running trial logs nothing, so the worker learns of the end when it renews its lease."""
    ledger, job = create(home), Job(home.jobs / "worker")
    job.start(worker(spec("waits_for_the_end"), "worker", lease_seconds=1.0))
    assert wait_until(lambda: "waiting for the end" in job.read_log()[0], seconds=DEADLINE)
    lifecycle.stop(ledger, "toy/s", "enough")
    run_to_the_end(job)
    assert job.result() == {"finished": 1, "failed": 0}
    assert results.best(ledger, "toy/s").trial == 0
