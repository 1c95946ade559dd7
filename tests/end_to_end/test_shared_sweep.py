"""A remote worker joins the sweep of a DAG, and the sweep is ended in the UI. The store is an Algorithmia Data API. Its
key is in an Airflow connection for the tasks, and in the environment for the commands.

It takes four minutes: the DAG runs three times, and its sweep twice more. The tests run in the order of the file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import onnx
import pytest

from sailplane.deployment.local.endpoint import deployments
from sailplane.ledger import Ledger
from sailplane.records import Run
from sailplane.services.airflow_api import DagRun
from sailplane.storage import Access, Storage
from sailplane.sweeps import results
from tests.end_to_end.faults import FAULTY, SERVED, ask, spoil, trigger, waiting_job
from tests.integration.storage.twin import twin_server
from tests.platform import Platform, started, until

# The first of its two trials is the best possible one. The second trains until it is stopped.
ELSEWHERE = """\
import time

import torch

begun = []


def train(config, data, run):
    begun.append(config)
    assert config["learning_rate"] == 1.0 and config["as_of"]
    assert len(data.train) == len(data.validation) == 420
    if len(begun) == 1:
        run.log({"validation_auc": 0.99}, step=3)
        weight = torch.tensor([[-7.25, 3.5]])
        run.checkpoint({"linear.weight": weight, "linear.bias": torch.zeros(1)})
        return
    while not run.should_stop():
        run.log({"validation_auc": 0.25})
        print("at work", flush=True)
        time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "project" / "faults").mkdir()
    (folder / "twin").mkdir()
    with twin_server(folder / "twin") as twin:
        connection = {"conn_type": "algorithmia", "host": twin.url, "password": twin.key}
        settings = {
            "AIRFLOW_CONN_ALGORITHMIA_DEFAULT": json.dumps(connection),
            # `sailplane sweep share` reads no connections.
            "ALGORITHMIA_API": twin.url,
            "ALGORITHMIA_API_KEY": twin.key,
        }
        store = "data://.my/sailplane"
        with started(folder / "home", folder / "project", SAILPLANE_STORE=store, **settings) as running:
            yield running


def opened(platform: Platform) -> Storage:
    connection = json.loads(platform.env["AIRFLOW_CONN_ALGORITHMIA_DEFAULT"])
    access = Access(endpoint=connection["host"], secret=connection["password"])
    return Storage(platform.home.store, lambda: access)


@dataclass(frozen=True)
class Joined:
    """A run whose own worker waits at trial 0 while the remote worker trains trial 2."""

    run: DagRun
    sweep: str
    url: str
    token: str
    elsewhere: subprocess.Popen[str]


@pytest.fixture(scope="module")
def joined(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    spoil(platform, SERVED, "waits in the sweep")
    run = trigger(platform, SERVED, trials=3)
    waiting_job(platform, SERVED, "sweep.worker.0")
    (sweep,) = results.names(Ledger.at(platform.home))
    shared = platform.sailplane("sweep", "share", sweep)
    assert shared.returncode == 0, shared.stderr
    (token,), (url,) = (re.findall(form, shared.stdout) for form in (r"TOKEN=(\S+)", r"worker.pyz (http\S+) --train"))
    with _worker(tmp_path_factory.mktemp("elsewhere"), url, token) as process:
        assert process.stdout is not None
        assert any("at work" in line for line in process.stdout)
        yield Joined(run, sweep, url, token, process)
        process.kill()


def _worker(folder: Path, url: str, token: str) -> subprocess.Popen[str]:
    """Starts a worker in an empty folder, with the files that the tunnel's address serves."""
    headers = {"Authorization": f"Bearer {token}", "Host": "tunnel.example"}
    answer = httpx.get(f"{url}/worker.pyz", headers=headers, trust_env=False).raise_for_status()
    (folder / "worker.pyz").write_bytes(answer.content)
    (folder / "model.py").write_text(ELSEWHERE)
    return subprocess.Popen(
        [sys.executable, "-I", "-u", "worker.pyz", url, "--train", "model.py:train", "--name", "elsewhere"],
        cwd=folder,
        env={"SAILPLANE_SWEEP_TOKEN": token, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_by_the_name_of_a_tunnel_nothing_else_of_airflow_can_be_reached(joined: Joined) -> None:
    root = joined.url.partition("/sailplane/")[0]
    for path in ("/", "/api/v2/dags"):
        assert httpx.get(root + path, headers={"Host": "tunnel.example"}, trust_env=False).status_code == 400
    assert httpx.get(joined.url, trust_env=False).status_code == 401


def test_workers_marked_as_success_end_the_sweep_with_the_best_so_far(platform: Platform, joined: Joined) -> None:
    path = f"{joined.run.path}/taskInstances/sweep.worker/0"
    platform.api("PATCH", path, {"new_state": "success"})
    assert platform.wait(joined.run) == "success"
    found = results.trials(Ledger.at(platform.home), joined.sweep)
    assert [trial.number for trial in found] == [0, 1, 2]
    assert (found[1].state, found[1].score) == ("finished", 0.99)
    assert results.best_trial(Ledger.at(platform.home), joined.sweep).number == 1


def test_the_worker_elsewhere_is_told_that_the_sweep_is_over(platform: Platform, joined: Joined) -> None:
    assert joined.elsewhere.wait(timeout=120) == 0
    trial = results.trials(Ledger.at(platform.home), joined.sweep)[2]
    assert (trial.state, trial.score) == ("finished", 0.25)


def test_the_model_is_made_here_of_the_checkpoint_from_elsewhere(platform: Platform, joined: Joined) -> None:
    run = Run.from_dict(platform.xcom(joined.run, "sweep.best"))
    assert (run.sweep, run.trial, run.config["learning_rate"]) == (joined.sweep, 1, 1.0)
    assert run.metrics["validation_auc"] != 0.99, "it was measured here"
    storage = opened(platform)
    graph = onnx.load_from_string(b"".join(storage.stream(f"{storage.path(run.bundle)}/model.onnx"))).graph
    weights = [onnx.numpy_helper.to_array(tensor).ravel().tolist() for tensor in graph.initializer]
    assert [-7.25, 3.5] in weights


def test_all_is_on_the_data_api_and_no_key_is_left(platform: Platform, joined: Joined) -> None:
    best = Run.from_dict(platform.xcom(joined.run, "sweep.best"))
    assert best.bundle.startswith("data://.my/sailplane/")
    assert best.dataset.uri.startswith("data://.my/sailplane/")
    assert not (platform.home.root / "store").exists()
    assert not list(platform.home.jobs.rglob("access.json")), "no key is left where a training was"


def test_a_group_that_is_cleared_goes_on_and_begins_anew_only_if_asked_to(platform: Platform, joined: Joined) -> None:
    ledger = Ledger.at(platform.home)
    before = results.trials(ledger, joined.sweep)
    spoil(platform, SERVED, None)
    _clear_sweep(platform, joined)
    assert results.trials(ledger, joined.sweep) == before
    assert platform.sailplane("sweep", "restart", joined.sweep).returncode == 0
    assert results.names(ledger) == []
    _clear_sweep(platform, joined)
    after = results.trials(ledger, joined.sweep)
    assert [(trial.state, trial.run is None) for trial in after] == [("finished", False)] * 3
    headers = {"Authorization": f"Bearer {joined.token}"}
    assert httpx.get(joined.url, headers=headers, trust_env=False).status_code == 401


def _clear_sweep(platform: Platform, joined: Joined) -> None:
    _clear(platform, joined.run, ["sweep.create", "sweep.worker", "sweep.best"])


def _clear(platform: Platform, run: DagRun, tasks: list[str]) -> None:
    body = {"dry_run": False, "dag_run_id": run.id, "only_failed": False, "task_ids": tasks}
    platform.api("POST", f"/dags/{run.dag}/clearTaskInstances", body)
    assert platform.wait(run, seconds=600) == "success"


def test_a_sweep_that_is_not_there_is_one_clear_error(platform: Platform) -> None:
    ended = platform.sailplane("sweep", "share", "tiny/none")
    assert ended.returncode == 1
    assert ended.stderr == (
        "sailplane: find sweep tiny/none: no sweep has this name, DAG or model. `sailplane sweep list` shows all.\n"
    )


def test_a_run_keeps_its_code_and_a_clear_after_an_edit_begins_a_new_sweep(platform: Platform) -> None:
    """The features are edited while the train step trains. Then the train step and all later tasks are cleared. It
    takes more than a minute: the train step and the sweep run twice."""
    as_of = SERVED - timedelta(days=21)
    spoil(platform, as_of, "waits")
    run = trigger(platform, as_of)
    waiting_job(platform, as_of, "train")
    features = platform.home.project / "include/tiny/features.py"
    before = features.read_text()
    features.write_text(before + "\n\nEDITED = True\n")
    spoil(platform, as_of, None)
    assert platform.wait(run, seconds=600) == "success"
    trained, best = (Run.from_dict(platform.xcom(run, task)) for task in ("train", "sweep.best"))
    assert trained.code == best.code
    assert {bundled(platform, one) for one in (trained, best)} == {before}
    _clear(platform, run, ["train", "sweep.create", "sweep.worker", "sweep.best", "evaluate", "deploy"])
    again, chosen = (Run.from_dict(platform.xcom(run, task)) for task in ("train", "sweep.best"))
    assert again.code == chosen.code != trained.code
    assert {bundled(platform, one) for one in (again, chosen)} == {features.read_text()}
    assert chosen.sweep == f"{best.sweep}~2"
    (served,) = deployments(Ledger.at(platform.home))
    assert ask(served), "its bundle came from the Data API"
    for task, said in [("train", "include/tiny/features.py"), ("sweep.create", "The code changed")]:
        entry = platform.api("GET", f"{run.path}/taskInstances/{task}/xcomEntries/code")
        assert said in entry["value"]


def test_airflow_dags_test_runs_by_one_version_too(platform: Platform) -> None:
    as_of = SERVED - timedelta(days=42)
    until(lambda: platform.airflow.find("/dags/trained"), 120, "the DAG")
    # Otherwise the scheduler, which also runs, may take a task of this run first.
    platform.api("PATCH", "/dags/trained", {"is_paused": True})
    conf = json.dumps({"as_of": f"{as_of:%Y-%m-%d}", "window": 21})
    ended = platform.sailplane("airflow", "dags", "test", "trained", "2026-01-01", "--conf", conf)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
    assert "state=success" in ended.stdout + ended.stderr


def bundled(platform: Platform, run: Run) -> str:
    """Returns the feature code in the run's bundle."""
    storage = opened(platform)
    return storage.get(f"{storage.path(run.bundle)}/features.py").decode()
