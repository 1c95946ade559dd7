"""Faults, through the real services: each gives one clear error, nothing is half-written, and the next run works.

Failing runs go on at the same time, each over its own days. The tests run in the order of the file. They take eight
minutes: each fault needs a run of the DAG, and each mended fault another one."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from sailplane.deployment.local.endpoint import deployments
from sailplane.ledger import Ledger
from sailplane.ledger.tables import pins
from sailplane.records import Dataset, Deployment
from sailplane.registry.lineage import code_path
from sailplane.services.airflow_api import DagRun
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from sailplane.sweeps.results import trials
from sailplane.training.jobs import Job
from tests.end_to_end.faults import (
    CODE_FAULTS,
    DATA_FAULTS,
    FAULTS,
    FAULTY,
    SERVED,
    TYPO,
    WINDOW,
    Fault,
    ask,
    clear,
    drafts,
    instance,
    line_that_raises,
    log,
    pid_of,
    spoil,
    steps,
    the_error,
    trigger,
    waiting_job,
)
from tests.platform import Platform, started, until


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Starts the services over the project `faulty`, with a separate folder for temporary files."""
    folder = tmp_path_factory.mktemp("faults")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "project" / "faults").mkdir()
    (folder / "scratch").mkdir()
    with started(folder / "home", folder / "project", TMPDIR=str(folder / "scratch")) as running:
        yield running


@pytest.fixture(scope="module")
def served(platform: Platform) -> Deployment:
    """Deploys a model with a good run. The model is not the best possible one, so a later model can replace it."""
    spoil(platform, SERVED, "sees half")
    run = trigger(platform, SERVED)
    assert platform.wait(run) == "success"
    return Deployment.from_dict(platform.xcom(run, "deploy"))


@pytest.fixture
def unchanged(platform: Platform, served: Deployment) -> Iterator[None]:
    """Checks after the test that the served model is the same and no draft stays. Tasks of active runs have some."""
    before = ask(served)
    yield
    assert deployments(Ledger.at(platform.home)) == [served]
    assert ask(served) == before
    until(lambda: None if drafts(platform) else True, 120, "a moment without a draft")


@dataclass(frozen=True)
class Broken:
    """The failed runs, and the objects that they added to the store."""

    runs: Mapping[str, DagRun]
    added: frozenset[str]


@pytest.fixture(scope="module")
def broken(platform: Platform, served: Deployment) -> Broken:
    """It takes more than a minute: ten runs fail at the same time."""
    store = Storage(platform.home.store)
    before = set(store.list())
    for fault in (*DATA_FAULTS, *CODE_FAULTS):
        spoil(platform, fault.as_of, fault.name)
    sweep_file = platform.home.project / "include" / "tiny" / "sweep.yaml"
    whole = sweep_file.read_text()
    sweep_file.write_text(whole.replace("parameters:", "paramters:"))
    runs = {fault.name: trigger(platform, fault.as_of, fault.dag) for fault in FAULTS}
    assert {name: platform.wait(run) for name, run in runs.items()} == dict.fromkeys(runs, "failed")
    sweep_file.write_text(whole)
    return Broken(runs, frozenset(store.list()) - before)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_clear_error_of_one_task_and_is_not_retried(
    platform: Platform, broken: Broken, fault: Fault
) -> None:
    run = broken.runs[fault.name]
    states = platform.tasks(run)
    assert [task for task in states if states[task] == ["failed"]] == [fault.task]
    assert instance(platform, run, fault.task)["try_number"] == 1, "the same would happen again"
    error = the_error(platform, run, fault.task)
    for part in fault.says:
        assert part.format(day=f"{fault.as_of - timedelta(days=10):%Y-%m-%d}", line=line_that_raises()) in error


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_leaves_only_whole_days(broken: Broken, fault: Fault) -> None:
    assert not [path for path in broken.added if path.startswith("datasets/tiny/quarantine/")]
    files = [path.split("/")[3:] for path in broken.added if path.startswith("datasets/tiny/partitions/")]
    kinds = Counter((day, Path(name).suffix) for day, name in files if day in fault.interval)
    assert len(kinds) == 2 * fault.days
    assert set(kinds.values()) <= {1}, "a day is one file of rows, and the marker that names it"


def test_of_failed_runs_only_what_earlier_tasks_returned_is_stored(platform: Platform, broken: Broken) -> None:
    versions = [path for path in broken.added if path.startswith("datasets/tiny/versions/")]
    assert len(versions) == sum(fault.versions for fault in FAULTS)
    others = {path for path in broken.added if not path.startswith("datasets/")}
    trained = platform.xcom(broken.runs[TYPO.name], "train")
    store = Storage(platform.home.store)
    bundles = {path for key in ("bundle", "baseline") for path in store.list(store.path(trained[key]))}
    archives = {code_path(digest) for digest in (trained["code"], *pinned_codes(platform, broken))}
    assert others == bundles | archives | {f"runs/{trained['id']}/history.json"}


def pinned_codes(platform: Platform, broken: Broken) -> set[str]:
    """Returns the versions of the user's code with which these runs began."""
    runs = pins.c.run.in_([run.id for run in broken.runs.values()])
    with Ledger.at(platform.home).begin() as connection:
        return set(connection.execute(sa.select(pins.c.digest).where(runs)).scalars())


@dataclass(frozen=True)
class Struck:
    """A run whose training process, with this pid, was struck while it waited in the second of its four epochs."""

    run: DagRun
    job: Job
    pid: int


@pytest.fixture(scope="module")
def struck(platform: Platform, broken: Broken) -> dict[str, Struck]:
    """Four runs wait at the same time. Each is struck in another way, then all continue."""
    tasks = {"task": "train", "training": "train", "marked": "train", "worker": "sweep.worker.0"}
    as_ofs = {name: SERVED - timedelta(days=n + 1) for n, name in enumerate(tasks)}
    for name, as_of in as_ofs.items():
        spoil(platform, as_of, "waits in the sweep" if name == "worker" else "waits")
    dags = {name: "trained" if task == "train" else "tiny" for name, task in tasks.items()}
    runs = {name: trigger(platform, as_of, dags[name], trials=2) for name, as_of in as_ofs.items()}
    jobs = {name: waiting_job(platform, as_ofs[name], task) for name, task in tasks.items()}
    struck = {name: Struck(runs[name], jobs[name], pid_of(jobs[name])) for name in tasks}

    os.kill(instance(platform, runs["task"], "train")["pid"], signal.SIGKILL)
    os.kill(struck["training"].pid, signal.SIGKILL)
    os.kill(struck["worker"].pid, signal.SIGKILL)
    platform.api("PATCH", f"{runs['marked'].path}/taskInstances/train", {"new_state": "failed"})
    until(lambda: "Reconnecting" in log(platform, runs["task"], "train", 2) or None, 60, "the killed task's second try")
    assert platform.wait(runs["marked"]) == "failed"
    until(lambda: None if psutil.pid_exists(struck["marked"].pid) else True, 60, "the end of the marked training")
    for as_of in as_ofs.values():
        spoil(platform, as_of, None)
    clear(platform, runs["marked"])
    return struck


@pytest.fixture(scope="module")
def mended(platform: Platform, broken: Broken, struck: dict[str, Struck]) -> dict[str, DagRun]:
    """Removes the causes. Starts a new run over all days that had bad data, and clears the failed runs, as in the
    UI."""
    for fault in (*DATA_FAULTS, *CODE_FAULTS):
        spoil(platform, fault.as_of, None)
    unlabelled = next(fault for fault in DATA_FAULTS if fault.name == "no labels")
    for day in unlabelled.interval:
        shutil.rmtree(platform.store / "datasets" / "tiny" / "partitions" / day)
    runs = {"data": trigger(platform, DATA_FAULTS[-1].as_of, "trained", window=WINDOW * len(DATA_FAULTS))}
    return runs | {fault.name: clear(platform, broken.runs[fault.name]) for fault in (*CODE_FAULTS, TYPO)}


@pytest.mark.usefixtures("unchanged")
def test_once_the_data_are_mended_a_run_over_the_same_days_works(platform: Platform, mended: dict[str, DagRun]) -> None:
    """It takes several minutes: the fixture `mended` runs the DAG again for each fault, and clears the failed runs."""
    assert platform.wait(mended["data"]) == "success"
    dataset = Dataset.from_dict(platform.xcom(mended["data"], "ingest"))
    assert (dataset.rows, dataset.quarantined) == (60 * WINDOW * len(DATA_FAULTS), 0)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("fault", [*CODE_FAULTS, TYPO], ids=lambda fault: fault.name)
def test_once_the_code_is_mended_the_failed_task_can_be_cleared(
    platform: Platform, mended: dict[str, DagRun], fault: Fault
) -> None:
    assert platform.wait(mended[fault.name]) == "success"


@pytest.mark.usefixtures("unchanged")
def test_a_killed_task_finds_its_training_again_and_no_second_one_is_started(
    platform: Platform, struck: dict[str, Struck]
) -> None:
    task = struck["task"]
    assert platform.wait(task.run) == "success"
    assert pid_of(task.job) == task.pid
    assert steps(task.job) == [0, 1, 2, 3]
    assert platform.xcom(task.run, "train") == task.job.result()


@pytest.mark.usefixtures("unchanged")
def test_a_killed_training_is_started_anew_and_goes_on_from_its_checkpoint(
    platform: Platform, struck: dict[str, Struck]
) -> None:
    training = struck["training"]
    assert platform.wait(training.run) == "success"
    assert pid_of(training.job) != training.pid
    assert steps(training.job) == [2, 3]
    assert platform.xcom(training.run, "train") == training.job.result()
    error = the_error(platform, training.run, "train", attempt=1)
    assert "JobError: run the process of train: it ended without a result (killed by SIGKILL" in error
    assert "a retry resumes from what it kept" in error


@pytest.mark.usefixtures("unchanged")
def test_a_killed_sweep_worker_loses_no_trial(platform: Platform, struck: dict[str, Struck]) -> None:
    worker = struck["worker"]
    assert platform.wait(worker.run) == "success"
    assert pid_of(worker.job) != worker.pid
    sweep = json.loads((worker.job.folder / "job.json").read_text())["sweep"]
    assert [trial.state for trial in trials(Ledger.at(platform.home), sweep)] == ["finished", "finished"]
    assert platform.xcom(worker.run, "sweep.worker", map_index=0) == {"finished": 2, "failed": 0}


@pytest.mark.usefixtures("unchanged")
def test_a_task_marked_failed_stops_its_training_and_can_be_cleared(
    platform: Platform, struck: dict[str, Struck]
) -> None:
    marked = struck["marked"]
    assert platform.wait(marked.run) == "success"
    assert "train was stopped by SIGTERM" in log(platform, marked.run, "train", attempt=1)
    assert instance(platform, marked.run, "train")["try_number"] == 2, "a task that a person marked is not retried"
    assert platform.xcom(marked.run, "train") == marked.job.result()


def test_without_a_router_the_deployment_fails_with_the_remedy_and_works_after_up(
    platform: Platform, served: Deployment
) -> None:
    """It takes more than a minute: a run of the DAG whose deploy task tries three times, and another try after `up`."""
    before = ask(served)
    Supervisor(platform.home).stop("router")
    run = trigger(platform, SERVED + timedelta(days=1))
    assert platform.wait(run) == "failed"
    assert instance(platform, run, "deploy")["try_number"] == 3, "it might have come back by itself"
    error = the_error(platform, run, "deploy")
    remedy = "Run `make up`, then clear this task or repeat this command."
    assert f"DeploymentError: deploy tiny: the router is not running. {remedy}" in error
    assert deployments(Ledger.at(platform.home)) == [served]

    assert platform.sailplane("up", "--no-run").returncode == 0
    assert ask(served) == before
    assert platform.wait(clear(platform, run)) == "success"
    (deployment,) = deployments(Ledger.at(platform.home))
    assert deployment == Deployment.from_dict(platform.xcom(run, "deploy"))
    assert deployment.version != served.version
    assert ask(deployment) != before
    assert drafts(platform) == []
