"""Sweeps at W&B, and their trials: the unmodified client and its command line against a server on loopback. The trials
run in separate processes, as the platform runs them.

They take a minute and a half: some trials wait in real time for W&B's server, or for a server that does not answer."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
import yaml

from sailplane import tracking
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators.sweep import CreateSweepOperator
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.file import SweepFile
from sailplane.tracking import sweeps
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from sailplane.training.worker import work
from tests.integration.tracking.test_online import WRONG, assert_no_key, run_told_command
from tests.platform import until
from tests.ports import free_port
from tests.wandb_server import KEY, WandbServer
from tests.wandb_store import ServedRun
from tests.wandb_sweeps import ServedSweep

Make = Callable[..., TrainSpec]
NAME = "toy/manual__1"
FILE = """\
name: rates
method: random
metric: {name: validation_auc, goal: maximize, impute_while_running: false}
run_cap: 9
early_terminate: {type: hyperband, min_iter: 30}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0}
  depth: {min: 1, max: 4}
  layers: {parameters: {code: {values: ["008", on, null]}}}
sailplane: {seed: 7, workers: 3, max_time: 1h}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def create(home: Home, file: Path) -> Callable[..., Ledger]:
    """Creates the sweep as its first task does."""

    def create(trials: int = 4, settings: dict[str, str] | None = None) -> Ledger:
        ledger, read = Ledger.create(home.ledger), SweepFile.read(file)
        config = read.limited(trials)
        lifecycle.create(ledger, NAME, config)
        document = read.for_wandb(config, NAME)
        sweeps.create(ledger, NAME, project="toy", document=document, settings=settings or {})
        return ledger

    return create


@pytest.fixture
def start(home: Home, spec: Make) -> Iterator[Callable[..., Job]]:
    """Starts the process of a worker."""
    jobs: list[Job] = []

    def start(train: str = "learns") -> Job:
        jobs.append(Job(home.jobs / f"worker.{len(jobs)}"))
        jobs[-1].start(worker(spec(train)))
        return jobs[-1]

    yield start
    for job in jobs:
        job.stop(grace=5)


def worker(spec: TrainSpec) -> SweepWorkerSpec:
    kept = {name: getattr(spec, name) for name in ("model", "dataset", "as_of", "features", "train")}
    return SweepWorkerSpec(sweep=NAME, worker="worker", **kept)


def wait_for_end(*jobs: Job) -> None:
    for job in jobs:
        until(lambda job=job: None if job.state() == "running" else True, 120, "the end of a worker")
        assert job.state() == "succeeded", job.read_log()[0]


def only(server: WandbServer) -> ServedSweep:
    (sweep,) = server.sweeps.values()
    return sweep


def logged(run: ServedRun) -> list[float]:
    return [row["validation_auc"] for row in run.history if "validation_auc" in row]


def test_the_file_arrives_as_wandbs_own_and_once(
    server: WandbServer, create: Callable[..., Ledger], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        ledger = create(trials=4)
    sweep = only(server)
    assert (sweep.project, sweep.state) == ("toy", "PENDING")
    expected = yaml.safe_load(FILE)
    del expected["sailplane"]
    expected |= {"name": NAME, "description": "rates", "run_cap": 4}
    expected["metric"]["impute_while_running"] = "false"
    # The client adds the distribution that the file implies.
    expected["parameters"]["depth"]["distribution"] = "int_uniform"
    assert sweep.document == expected
    assert sweeps.find(ledger, NAME) == sweep.name
    said = capfd.readouterr()
    assert re.fullmatch(rf"W&B sweep {NAME}: http\S+/gliders/toy/sweeps/{sweep.name}\n", said.out)
    assert_no_key(tmp_path, said.out + said.err)


def test_the_trials_of_two_workers_appear_under_one_sweep_which_then_is_finished(
    server: WandbServer, create: Callable[..., Ledger], start: Callable[..., Job], home: Home
) -> None:
    ledger = create(trials=4)
    jobs = [start(), start()]
    wait_for_end(*jobs)
    runs = server.runs_of(only(server))
    of_ledger = {trial.run.id: list(trial.values) for trial in results.trials(ledger, NAME) if trial.run}
    assert {run.name: logged(run) for run in runs} == of_ledger
    assert {len(logged(run)) for run in runs} == {20}
    assert {(run.project, run.group, run.state) for run in runs} == {("toy", NAME, "finished")}
    assert (len(runs), len(server.runs), only(server).state) == (4, 4, "FINISHED")
    assert_no_key(home.root, "".join(job.read_log()[0] for job in jobs))


def test_a_trial_is_there_while_it_runs_and_ends_early_when_it_is_stopped_there(
    server: WandbServer, create: Callable[..., Ledger], start: Callable[..., Job], home: Home
) -> None:
    """It takes half a minute: the trial runs until the client learns in real time that it was stopped."""
    ledger, job = create(trials=1), start("logs_until_the_end")
    run = until(lambda: next((run for run in server.runs.values() if logged(run)), None), 60, "a value at the server")
    assert (run.sweep, run.state, only(server).state) == (only(server).name, "running", "RUNNING")
    run.stopped = True
    wait_for_end(job)
    assert job.result() == {"finished": 1, "failed": 0}
    assert [trial.state for trial in results.trials(ledger, NAME)] == ["finished"]
    assert (run.state, only(server).state) == ("finished", "FINISHED")


def test_trials_of_a_server_that_went_away_come_under_their_sweep_by_a_later_sync(
    server: WandbServer,
    create: Callable[..., Ledger],
    spec: Make,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tracking, "INIT_SECONDS", 2.0)
    create(trials=3)
    server.stop()
    started = time.monotonic()
    assert work(worker(spec("learns")), home.jobs / "w") == {"finished": 3, "failed": 0}
    assert time.monotonic() - started < 60
    wandb.teardown()
    server.start()
    said = capfd.readouterr().out
    assert server.runs == {}
    run_told_command(said, home.root)
    assert sorted(len(logged(run)) for run in server.runs_of(only(server))) == [20, 20, 20]
    assert f"finish W&B sweep {NAME}: its server was unreachable a moment ago. It appears as running until" in said
    told = re.search(r"until you run `wandb (sweep --stop gliders/toy/\w+)`", said)
    assert told, said
    subprocess.run([sys.executable, "-m", "wandb", *told[1].split()], cwd=home.root, check=True)
    assert only(server).state == "FINISHED"


@pytest.fixture
def silent() -> Iterator[int]:
    """Yields a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


# On a busy machine our own limit ends the client before the client gives up.
NO_ANSWER = ("respond in time. ", "W&B did not answer in 30 s. ")
SAID = {
    "away": NO_ANSWER,
    "silent": NO_ANSWER,
    "wrong key": ("user is not logged in. ",),
    "no such key": ("WANDB_API_KEY invalid: API key must have 40+ characters, has 5. ",),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_keeps_a_sweep_from_wandb_costs_a_line_and_a_bounded_wait(
    server: WandbServer,
    create: Callable[..., Ledger],
    silent: int,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It takes 20 seconds for a server that is away or silent, because the client tries that long."""
    monkeypatch.setattr(sweeps, "SECONDS", 30.0)
    port = {"away": free_port(), "silent": silent}.get(kind)
    if port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    else:
        monkeypatch.setenv("WANDB_API_KEY", {"wrong key": WRONG}.get(kind, "too-short"))
    started = time.monotonic()
    ledger = create()
    assert time.monotonic() - started < sweeps.SECONDS + 2
    assert sweeps.find(ledger, NAME) is None
    said = capfd.readouterr()
    assert (said.out.count("\n"), said.err) == (1, "")
    assert said.out.startswith(f"create W&B sweep {NAME}: ")
    assert said.out.endswith(f" Its trials continue, as W&B runs of the group {NAME}.\n")
    assert any(reason in said.out for reason in SAID[kind])
    assert "too-short" not in said.out
    assert_no_key(tmp_path, said.out)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    create()
    assert sweeps.find(ledger, NAME) == only(server).name, "a retry makes it"


def test_a_client_that_takes_too_long_is_ended(
    server: WandbServer,
    create: Callable[..., Ledger],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweeps, "SECONDS", 0.1)
    assert sweeps.find(create(), NAME) is None
    assert f"create W&B sweep {NAME}: W&B did not answer in 0.1 s. Its trials" in capfd.readouterr().out
    assert server.sweeps == {}


@pytest.mark.parametrize("without", ["WANDB_API_KEY", "WANDB_MODE"])
def test_without_a_key_or_with_the_users_own_switch_nobody_is_asked(
    server: WandbServer, create: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    monkeypatch.setenv(without, {"WANDB_MODE": "offline"}.get(without, ""))
    ledger = create()
    sweeps.finish(ledger, NAME)
    assert (sweeps.find(ledger, NAME), server.asked) == (None, [])


def test_the_task_makes_it_with_a_connections_key_which_nothing_shows(
    server: WandbServer,
    home: Home,
    file: Path,
    spec: Make,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name)
    connection = {"conn_type": "wandb", "password": KEY, "host": server.url}
    monkeypatch.setenv("AIRFLOW_CONN_WANDB_DEFAULT", json.dumps(connection))
    kept = ("model", "features", "train", "config", "seed", "precision", "stream")
    trained = {name: getattr(spec(), name) for name in kept}
    asked: dict[str, Any] = {**trained, "dataset": spec().dataset.to_dict()}
    asked |= {"file": str(file), "trials": "2", "workers": 0}
    run = SimpleNamespace(run_after=spec().as_of, conf={}, clear_number=0)
    of = {"dag_id": "toy", "run_id": "manual__1", "task_id": "sweep.create", "map_index": -1, "max_tries": 2}
    tries = [SimpleNamespace(**of, try_number=attempt) for attempt in (1, 2)]
    contexts: list[Any] = [{"ti": ti, "dag_run": run, "params": {}} for ti in tries]
    given = [CreateSweepOperator(task_id="create", **asked).execute(context) for context in contexts]
    assert given == [[{"worker": f"worker {n}"} for n in (1, 2, 3)]] * 2
    assert (only(server).document["name"], only(server).document["run_cap"]) == (NAME, 2)
    said = capfd.readouterr()
    assert_no_key(home.root, said.out + said.err + caplog.text)
