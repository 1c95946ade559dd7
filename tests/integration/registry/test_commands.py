"""`sailplane models ...`, on the results of a training."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sailplane.cli import main
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry import models
from sailplane.registry.aliases import mark
from sailplane.storage import Storage
from sailplane.training.fit import fit
from sailplane.training.jobs import Job
from sailplane.training.specs import TrainSpec
from tests.platform import until

Make = Callable[..., TrainSpec]
MONTH = 30 * 86400.0


@pytest.fixture
def trained(home: Home, spec: Make, tmp_path: Path) -> tuple[Model, ...]:
    """Registers two versions; the first one is the champion."""
    ledger, storage = Ledger.create(home.ledger), Storage(home.store)
    runs = [fit(spec(run=f"toy/{n}", seed=n, baseline="include.toy.model:baseline")) for n in (1, 2)]
    found = tuple(models.register(ledger, storage, run) for run in runs)
    models.promote(ledger, "toy", found[0].version)
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().out


def test_versions_are_listed_with_their_aliases_and_shown_with_lineage_and_card(
    trained: tuple[Model, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = trained
    lines = said(capsys, "models", "list").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["MODEL", "VERSION"],
        ["toy", second.version],
        ["toy", first.version],
    ]
    assert "champion" in lines[2]
    lineage = first.lineage
    assert lineage
    validation = f"validation {lineage.dataset.windows.validation}"
    assert all(line.endswith(f"  {validation}") for line in lines[1:])
    assert json.loads(said(capsys, "models", "list", "--json"))[0]["measured_on"] == validation
    assert [one["version"] for one in json.loads(said(capsys, "models", "list", "--json"))] == [
        second.version,
        first.version,
    ]
    for arguments in (["toy"], ["toy", first.version], ["toy", "champion"]):
        shown = said(capsys, "models", "show", *arguments)
        assert shown.startswith("ALIASES     champion\n")
        assert "| run | `toy/1` |" in shown
        assert f"# toy {first.version}" in shown
    told = json.loads(said(capsys, "models", "show", "toy", second.version, "--json"))
    assert (told["aliases"], told["rolled_back"], told["lineage"]["seed"]) == ([], None, 2)


def test_a_version_that_was_rolled_back_is_listed_and_shown_as_such(
    trained: tuple[Model, ...], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    version = trained[1].version
    with Ledger.at(home).begin() as connection:
        mark(connection, "toy", version, "ada", 1_764_000_000.0)
    assert "  rolled back  " in said(capsys, "models", "list").splitlines()[1]
    assert "ROLLED BACK  on 2025-11-24 16:00 UTC by ada\n" in said(capsys, "models", "show", "toy", version)
    told = json.loads(said(capsys, "models", "show", "toy", version, "--json"))
    assert told["rolled_back"] == {"since": "2025-11-24T16:00:00+00:00", "by": "ada"}
    assert main(["models", "show", "toy", "nothing"]) == 1


def test_before_anything_is_registered_a_list_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No models are registered yet" in said(capsys, "models", "list")
    assert json.loads(said(capsys, "models", "list", "--json")) == []


def age(home: Home) -> None:
    """Ages all objects in the store."""
    for path in Path(home.root, "store").rglob("*"):
        os.utime(path, (time.time() - MONTH,) * 2)


def test_garbage_is_shown_and_then_deleted_and_what_stays_still_works(
    trained: tuple[Model, ...], home: Home, tmp_path: Path, spec: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage(home.store)
    fit(spec(run="toy/lost"))
    age(home)
    before = storage.list()
    planned = said(capsys, "models", "gc", "--dry-run")
    assert storage.list() == before
    assert "runs/toy/lost/bundle/model.onnx" in planned
    assert planned.splitlines()[-1].endswith("kB, would be moved to the trash.")
    deleted = said(capsys, "models", "gc", "--yes", "--keep", "1")
    assert deleted.splitlines()[:-1] == planned.splitlines()[:-1]
    gone = set(before) - set(storage.list())
    assert gone == {path for path in before if path.startswith("runs/toy/lost/")}
    assert said(capsys, "reproduce", f"toy@{trained[1].version}")
    assert said(capsys, "models", "gc") == "0 versions and 0 objects, 0.0 kB, to move to the trash.\n"


def test_what_a_training_that_runs_now_needs_stays(home: Home, spec: Make, capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(home.jobs / "toy")
    job.start(spec("hangs"))
    try:
        until(lambda: True if "hanging" in job.read_log()[0] else None, 90, "the training")
        age(home)
        before = Storage(home.store).list("datasets")
        said(capsys, "models", "gc", "--yes")
        assert Storage(home.store).list("datasets") == before
    finally:
        job.stop(grace=5)
    said(capsys, "models", "gc", "--yes")
    assert Storage(home.store).list("datasets") == []
