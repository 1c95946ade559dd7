"""The notebook of the first project, run unchanged by Jupyter's own command, joins a sweep over the project's data."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval
from sailplane.services.sharing import share
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.file import SweepFile
from sailplane.training.fit import fit
from sailplane.training.specs import SweepWorkerSpec
from tests.homes import new_home
from tests.integration.sweep_server.conftest import serving
from tests.ports import free_port

PROJECT = Path(__file__).parents[3]
AS_OF = datetime(2026, 7, 5, tzinfo=UTC)


@pytest.fixture
def flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SAILPLANE_PROJECT", raising=False)
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SAILPLANE_UI_PORT", str(free_port()))
    monkeypatch.setenv("WANDB_MODE", "offline")
    return new_home()


def create(home: Home) -> SweepWorkerSpec:
    """Creates the project's own sweep with two trials."""
    data: Any = code.load("include.flights.data")
    dataset = ingest(
        Storage(home.store),
        name="flights",
        extract=data.extract,
        schema=data.SCHEMA,
        time="scheduled_departure",
        interval=Interval.trailing(AS_OF, 42),
    )
    paths = {"features": "include.flights.features", "train": "include.flights.model:train"}
    job = SweepWorkerSpec(sweep="flights/s", worker="", model="flights", dataset=dataset, as_of=AS_OF, **paths)
    config = SweepFile.read(home.project / "include" / "flights" / "sweep.yaml").limited(2)
    lifecycle.create(Ledger.create(home.ledger), job.sweep, config, seed=1, job=job.to_dict())
    return job


def test_the_notebook_joins_a_sweep_and_its_best_model_is_made_here(
    flights: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = create(flights)
    share(flights, argparse.Namespace(sweep=job.sweep))
    said = capsys.readouterr().out
    (token,), (url,) = (re.findall(form, said) for form in (r"TOKEN=(\S+)", r"worker.pyz (http\S+) --train"))
    with serving(flights.ui_port):
        told = run_notebook(tmp_path / "colab", url, token)
    assert "joined sweep flights/s, to maximize validation_auc" in told
    assert "{'finished': 2, 'failed': 0}" in told
    best = results.best_trial(Ledger.create(flights.ledger), job.sweep)
    assert len(best.values) == 4
    spec = job.trial(best.number, best.config, seed=1, attempt="here")
    run = fit(replace(spec, until=results.last_step(Ledger.create(flights.ledger), job.sweep, best.number)))
    assert run.metrics["validation_auc"] == pytest.approx(best.score, abs=1e-5)
    kept = json.loads(Storage(flights.store).get(f"runs/{run.id}/history.json"))
    assert [row["validation_auc"] for row in kept] == list(best.values), "what was logged there, and no epoch more"


def run_notebook(folder: Path, url: str, token: str) -> str:
    """Runs the notebook. Returns all output and results of its cells."""
    folder.mkdir()
    for name in ("join_a_sweep.ipynb", "model.py"):
        shutil.copy(PROJECT / "include" / "flights" / name, folder)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "SWEEP_URL": url, "SAILPLANE_SWEEP_TOKEN": token}
    command = [Path(sys.executable).parent / "jupyter-execute", "--inplace", "join_a_sweep.ipynb"]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    notebook = json.loads((folder / "join_a_sweep.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return "\n".join("".join(o.get("text") or o.get("data", {}).get("text/plain", "")) for o in outputs)
