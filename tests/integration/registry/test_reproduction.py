"""Registered models are trained again from the data in the registry and the store."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sailplane.cli import main
from sailplane.datasets import ingest
from sailplane.errors import DataError, ModelError
from sailplane.evaluation import offers
from sailplane.files import temporary_folder
from sailplane.home import Home
from sailplane.ledger import Ledger, tables
from sailplane.records import Model, Run
from sailplane.registry import environment, models
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, results
from sailplane.sweeps.space import parse
from sailplane.training.fit import fit
from sailplane.training.jobs import Job
from sailplane.training.reproduction import reproduce
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from sailplane.training.worker import work
from tests.homes import new_home
from tests.integration.training.conftest import PROJECT
from tests.platform import until

Make = Callable[..., TrainSpec]
SWEEP = """\
method: grid
metric: {name: train_loss, goal: minimize}
parameters: {learning_rate: {values: [3.0, 0.0001, 1.0]}}
sailplane: {asha: {min_iter: 1, eta: 2}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A copy of the small project that a test can change."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(project))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(project))
    yield new_home()
    for name in [name for name in sys.modules if name.startswith("include.toy")]:
        del sys.modules[name]


class Register:
    def __init__(self, home: Home) -> None:
        self.home, self.ledger, self.storage = home, Ledger.create(home.ledger), Storage(home.store)

    def add(self, run: Run) -> Model:
        return models.register(self.ledger, self.storage, run)

    def change(self, model: Model, **changes: Any) -> Model:
        """Changes the model's lineage on the ledger."""
        assert model.lineage
        changed = replace(model, lineage=replace(model.lineage, **changes))
        with self.ledger.begin() as connection:
            connection.execute(sa.update(tables.models).values(record=changed.to_dict()))
        return changed

    def state(self) -> tuple[Any, ...]:
        with self.ledger.begin() as connection:
            rows = [connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables]
        return rows, {entry.path: entry.etag for entry in self.storage.entries()}


def corrected(storage: Storage, model: Model) -> None:
    """Corrects the rows of every day that the model has seen."""
    assert model.lineage
    old, data = model.lineage.dataset, sys.modules["include.toy.data"]
    again = dict.fromkeys(old.interval.days, "a test")
    given: dict[str, Any] = {"name": old.name, "schema": data.SCHEMA, "time": "time", "interval": old.interval}
    new = ingest(storage, extract=lambda start, end: data.extract(start, end).iloc[1:], again=again, **given)
    assert new.version != old.version
    assert new.revised


@pytest.fixture
def register(home: Home) -> Register:
    return Register(home)


def test_a_model_agrees_bit_for_bit_though_the_checkout_has_changed_and_nothing_else_is_touched(
    register: Register, spec: Make, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = register.add(fit(spec(config={"epochs": 4}, seed=7)))
    models.promote(register.ledger, "toy", model.version)
    for file in (home.project / "include" / "toy").glob("*.py"):
        file.write_text("raise RuntimeError('the archived code is what counts')\n")
    corrected(register.storage, model)
    before, left = register.state(), {path.name for path in home.root.iterdir()}
    capsys.readouterr()
    assert main(["reproduce", "toy"]) == 0
    said = capsys.readouterr()
    assert f"toy {model.version}, trained again in " in said.out
    assert re.search(r"agrees bit for bit: auc 0\.\d+.* on validation ", said.out)
    assert str(model.lineage.dataset.windows.validation) in said.out  # type: ignore[union-attr]
    assert "step 3: train_loss" in said.err
    assert register.state() == before
    assert {path.name for path in home.root.iterdir()} == left


@pytest.mark.parametrize("change", [{"seed": 8}, {"config": {"learning_rate": 3.0}}], ids=["seed", "config"])
def test_another_seed_or_configuration_is_found_out_and_what_differs_is_said(
    register: Register, spec: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    model = register.add(fit(spec(seed=7)))
    register.change(model, **change)
    capsys.readouterr()
    assert main(["reproduce", f"toy@{model.version}", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["agrees"], result["exact"]) == (False, True)
    assert result["differences"][:2] == ["model.onnx differs", "golden.json differs"]
    assert any("the golden rows' scores are off by up to" in line for line in result["differences"])
    assert result["environment"] == []


def test_an_offered_baseline_is_trained_again_by_its_own_function_and_agrees_bit_for_bit(
    register: Register, spec: Make, home: Home
) -> None:
    """The baseline's function is in another folder than the model's, and is archived with it."""
    file = home.project / "include" / "plain" / "model.py"
    file.parent.mkdir()
    file.write_text("from include.toy.model import learns_by_batches as many_batches\n")
    run = fit(spec(baseline="include.plain.model:many_batches", seed=7, config={"epochs": 4}))
    assert run
    assert (run.baseline_train, run.steps) == ("include.plain.model:many_batches", 3)
    with temporary_folder() as scratch:
        bundle = models.fetch_bundle(register.storage, run.baseline or "", Path(scratch) / "bundle")
    model = register.add(offers.run_of(run, bundle))
    file.unlink()
    result = reproduce(home, register.storage, model)
    assert result.agrees, result.differences
    assert result.exact
    assert result.then == result.now != {}
    sys.modules.pop("include.plain.model")


def test_a_trial_that_was_stopped_early_is_reproduced_up_to_there_and_so_is_the_best(
    register: Register, spec: Make, home: Home, tmp_path: Path
) -> None:
    lifecycle.create(register.ledger, "toy/s", parse(SWEEP), seed=5)
    shared = {key: getattr(spec(), key) for key in ("model", "dataset", "as_of", "features", "train")}
    work(SweepWorkerSpec(sweep="toy/s", worker="w", config={"epochs": 9}, **shared), home.jobs / "w")
    runs = [trial.run for trial in results.trials(register.ledger, "toy/s") if trial.run]
    stopped = next(run for run in runs if run.steps != 8)
    best = results.best(register.ledger, "toy/s")
    assert stopped.steps is not None
    assert stopped.steps < 8
    assert (best.seed, best.config["epochs"]) == (5 + (best.trial or 0), 9)
    for run in (stopped, best):
        result = reproduce(home, register.storage, register.add(run))
        assert result.agrees, result.differences
        assert result.exact


def test_a_model_of_a_stream_of_rows_in_mixed_precision_agrees_bit_for_bit(
    register: Register, spec: Make, home: Home
) -> None:
    how = {"config": {"epochs": 2}, "stream": True, "precision": "mixed"}
    model = register.add(fit(spec("learns_by_batches", **how)))
    assert model.lineage
    assert (model.lineage.stream, model.lineage.precision) == (True, "mixed")
    result = reproduce(home, register.storage, model)
    assert result.agrees, result.differences
    assert result.exact


def test_of_several_processes_the_metrics_count(register: Register, spec: Make, home: Home) -> None:
    """It takes half a minute: the model is trained twice, each time by several processes that import torch."""
    job = Job(home.jobs / "two")
    job.start(spec("learns_by_batches", config={"epochs": 2}, processes=2))
    until(lambda: True if job.state() != "running" else None, 180, "two processes")
    result = reproduce(home, register.storage, register.add(Run.from_dict(job.result())))
    assert (result.agrees, result.exact) == (True, False)


def test_on_a_gpu_the_metrics_count_and_not_the_bytes(
    register: Register, spec: Make, home: Home, tmp_path: Path
) -> None:
    model = register.add(fit(spec(config={"learning_rate": 1.0, "epochs": 30})))
    assert model.lineage
    near = reproduce(home, register.storage, register.change(model, device="cuda", seed=1))
    assert (near.agrees, near.exact, near.differences) == (True, False, ("trained on cuda then, on cpu now",))
    metrics = {**model.lineage.metrics, "validation_auc": 0.1}
    far = reproduce(home, register.storage, register.change(model, device="cuda", metrics=metrics))
    assert not far.agrees
    assert far.differences[0].startswith("validation_auc 0.100000 then, 0.")


def test_what_is_installed_in_another_version_is_named_first(
    register: Register, spec: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    then = environment.installed().replace("\nnumpy==", "\nnumpy==0.")
    register.storage.put(f"environments/{environment.digest(then)}.txt", then.encode())
    register.change(register.add(fit(spec())), environment=environment.digest(then), seed=9)
    capsys.readouterr()
    assert main(["reproduce", "toy"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("installed: numpy 0.")
    assert lines[1] == "- model.onnx differs"
    assert "does not agree bit for bit" in lines[-1]


def test_what_is_gone_is_one_clear_error(
    register: Register, spec: Make, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = register.add(fit(spec()))
    assert model.lineage
    with pytest.raises(ModelError, match=r"reproduce toy \w+: it was registered without its lineage"):
        reproduce(home, register.storage, replace(model, lineage=None))
    partition = next(path for path in register.storage.list("datasets") if path.endswith(".parquet"))
    kept = register.storage.get(partition)
    register.storage.delete(partition)
    with pytest.raises(DataError, match=rf"{partition}: it is gone"):
        reproduce(home, register.storage, model)
    register.storage.put(partition, kept + b" ")
    with pytest.raises(DataError, match="its content has changed"):
        reproduce(home, register.storage, model)
    register.storage.put(partition, kept)
    register.storage.delete(f"code/{model.lineage.code}.zip")
    assert main(["reproduce", "toy"]) == 1
    assert "it is gone. Restore it from a backup" in capsys.readouterr().err
    assert main(["reproduce", "toy@previous"]) == 1
    assert "toy@previous: no such version" in capsys.readouterr().err


def test_a_training_that_fails_now_fails_with_its_own_error(
    register: Register, spec: Make, home: Home, tmp_path: Path
) -> None:
    model = register.add(fit(spec()))
    changed = register.change(model, train="include.toy.model:raises")
    with pytest.raises(Exception, match=r"train include.toy.model:raises: ZeroDivisionError"):
        reproduce(home, register.storage, changed)
    assert not list(home.root.glob("reproduce-*"))
