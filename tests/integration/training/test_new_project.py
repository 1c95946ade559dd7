"""`sailplane new` in a separate checkout: the new project's test passes, and its stages work in real processes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane import code
from sailplane.commands import new
from sailplane.datasets import ingest
from sailplane.evaluation import evaluate
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Run
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.file import SweepFile
from sailplane.training.jobs import Job
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from tests.homes import new_home
from tests.integration.training.test_flights import run_to_the_end

CHECKOUT = Path(__file__).parents[3]
AS_OF = datetime(2026, 7, 5, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Yields a checkout without other projects, into which `sailplane new churn` has written one."""
    project = tmp_path / "checkout"
    for name in ("dags", "include", "tests/unit/include"):
        (project / name).mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "tests/conftest.py",
        "tests/programs.py",
        "tests/without_torch.py",
        "tests/unit/include/conftest.py",
    ):
        shutil.copy(CHECKOUT / name, project / name)
    (project / "plugins").symlink_to(CHECKOUT / "plugins")
    monkeypatch.setenv("SAILPLANE_PROJECT", str(project))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(project))
    home = new_home()
    assert new.new(home, argparse.Namespace(name="churn")) == 0
    forget_projects()
    yield home
    forget_projects()


def forget_projects() -> None:
    """Forgets `include`, which may be another checkout's from an earlier test in this process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "include"]:
        del sys.modules[name]


def test_the_test_of_a_new_project_passes_at_once(home: Home) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("SAILPLANE_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/include/churn"]
    ended = subprocess.run(command, cwd=home.project, env=env, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout


def test_a_new_project_trains_sweeps_and_passes_its_gate(home: Home) -> None:
    storage, data = Storage(home.store), code.load("include.churn.data")
    assert Path(data.__file__).is_relative_to(home.project)
    dataset = ingest(
        storage,
        name="churn",
        extract=data.extract,
        schema=data.SCHEMA,
        time="seen_at",
        interval=Interval.trailing(AS_OF, 42),
    )
    assert (dataset.rows, dataset.quarantined) == (42 * 200, 0)
    shared: dict[str, Any] = {
        "model": "churn",
        "dataset": dataset,
        "as_of": AS_OF,
        "features": "include.churn.features",
        "train": "include.churn.model:train",
    }
    training, worker = Job(home.jobs / "train"), Job(home.jobs / "worker")
    training.start(TrainSpec(run="churn/t/train", baseline="include.churn.model:baseline", **shared))
    trained = Run.from_dict(run_to_the_end(training)[0])
    ledger = Ledger.create(home.ledger)
    lifecycle.create(ledger, "churn/t", SweepFile.read(home.project / "include/churn/sweep.yaml").limited(2))
    worker.start(SweepWorkerSpec(sweep="churn/t", worker="worker 0", **shared))
    assert run_to_the_end(worker)[0]["finished"] == 2
    evaluation = evaluate(storage, run=results.best(ledger, "churn/t"), baseline=trained.baseline)
    assert evaluation.passed, evaluation.reasons
    # The rows are generated, and no model of them can be nearly perfect.
    assert 0.65 < evaluation.metrics["challenger"]["auc"] < 0.8
    assert evaluation.metrics["baseline"]["auc"] < evaluation.metrics["challenger"]["auc"]


def test_the_dag_of_a_new_project_has_the_stages_of_every_other(home: Home) -> None:
    script = (
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag(dag_folder={str(home.project / 'dags')!r})\n"
        "print(bag.import_errors, [task.task_id for task in bag.dags['churn'].topological_sort()])\n"
    )
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=home.project, capture_output=True, text=True, timeout=120)
    stages = ["ingest", "train", "sweep.create", "sweep.worker", "sweep.best", "evaluate", "deploy"]
    assert ended.stdout.splitlines()[-1:] == [f"{{}} {stages}"], ended.stdout + ended.stderr
