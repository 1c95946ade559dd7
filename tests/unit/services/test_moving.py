from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values
from rich.console import Console

from sailplane import pairing
from sailplane.commands.up import up
from sailplane.errors import AccessError, ConfigurationError, ServiceError, StorageError
from sailplane.evaluation import history
from sailplane.files import locked
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.tables import aliases, models, rollouts, sweeps, trials
from sailplane.records import Model
from sailplane.registry.models import fetch, find, promote, register
from sailplane.services import installation, orphans
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.moving import SETTING, move, staying
from sailplane.services.store_check import require_access, require_store
from sailplane.storage import Storage
from sailplane.storage.move import MARKER
from sailplane.storage.roots import local_folder
from tests.homes import new_ledger
from tests.unit.bundles import tiny
from tests.unit.commands.lost_ledgers import verdict


@pytest.fixture(autouse=True)
def not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTING, raising=False)


@pytest.fixture
def champion(home: Home, tmp_path: Path) -> Model:
    new_ledger(home.ledger)
    ledger, storage = pairing.opened(home)
    run = tiny.run_of(tiny.bundle(tmp_path / "bundle"), storage)
    model = register(ledger, storage, run, evaluation=tiny.evaluation_of(run))
    promote(ledger, model.name, model.version)
    return model


@pytest.fixture
def target(tmp_path: Path) -> str:
    return (tmp_path / "elsewhere").as_uri()


def in_database(home: Home) -> Mapping[str, Any]:
    """Returns the champion's record on the ledger."""
    with Ledger.at(home).begin() as connection:
        found: Mapping[str, Any] = connection.execute(sa.select(sa.type_coerce(models.c.record, sa.JSON))).scalar_one()
        return found


def test_the_ledger_keeps_uris_relative_to_the_store_and_the_code_gets_them_whole(home: Home, champion: Model) -> None:
    kept = in_database(home)
    prefix = f"models/{champion.name}/{champion.version}"
    assert kept["uri"] == f"store:///{prefix}"
    assert kept["lineage"]["bundle"] == kept["evaluation"]["run"]["bundle"] == "store:///runs/run-1/bundle"
    assert find(Ledger.at(home), champion.name).uri == f"{home.store}/{prefix}"
    assert home.store not in str(kept)


def test_after_a_move_the_champion_is_found_in_the_new_place(
    home: Home, champion: Model, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Storage(home.store).list()
    move(home, target, Console(soft_wrap=True))
    said = capsys.readouterr().out
    assert dotenv_values(home.project / ".env")[SETTING] == target
    assert f"sets SAILPLANE_STORE={target}" in said
    assert "The old store is unchanged" in said
    assert Storage(home.store).list() == before

    moved = replace(home, store=target)
    require_store(moved)
    found, storage = find(Ledger.at(moved), champion.name), Storage(target)
    assert found.uri == f"{target}/models/{champion.name}/{champion.version}"
    assert fetch(storage, found, tmp_path / "copy").digest == champion.digest
    # An XCom of a run before the move has the old URI.
    assert fetch(storage, champion, tmp_path / "again").digest == champion.digest

    with pytest.raises(ConfigurationError, match=rf"it was moved to {target}\. Set SAILPLANE_STORE={target}"):
        require_store(home)
    with pytest.raises(ConfigurationError, match=rf"it was moved to {target}"):
        move(home, f"{target}-again", Console())
    with pytest.raises(ConfigurationError, match=rf"another store; expected {target}"):
        pairing.store(home)
    (home.root / "moved.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"moved\.json: damaged"):
        require_store(moved)


@pytest.mark.parametrize("step", ["pairing.remember", "_switch"])
def test_a_move_that_is_killed_after_the_copy_goes_on(
    home: Home, champion: Model, target: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"sailplane.services.moving.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            move(home, target, Console())
    require_store(home)  # It still serves.
    move(home, target, Console())
    require_store(replace(home, store=target))
    assert MARKER not in Storage(target).list()


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_records_of_an_earlier_release_are_made_relative(home: Home, champion: Model) -> None:
    ledger = Ledger.at(home)
    with ledger.begin() as connection:
        whole = sa.type_coerce(sa.literal(champion.to_dict(), sa.JSON), sa.JSON)
        connection.execute(sa.update(models).values({models.c.record: whole}))
    assert in_database(home)["uri"] == champion.uri
    assert find(ledger, champion.name) == champion
    require_store(home)
    assert in_database(home)["uri"].startswith("store:///models/")
    assert find(ledger, champion.name) == champion


def test_a_store_that_lacks_the_champion_is_refused_with_the_command_as_the_remedy(
    home: Home, champion: Model, target: str
) -> None:
    changed, folder = replace(home, store=target), local_folder(target)
    with pytest.raises(ConfigurationError, match=f"the folder does not exist; .* champion of {champion.name}"):
        require_store(changed)
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(ConfigurationError) as refused:
        require_store(changed)
    assert f"it lacks models/{champion.name}/{champion.version}/manifest.json, the champion of" in str(refused.value)
    assert "Set SAILPLANE_STORE back to the previous store. `sailplane store move URI` copies it" in str(refused.value)
    assert Storage(target).list() == []


def test_a_copy_that_was_interrupted_is_refused(home: Home, champion: Model, target: str) -> None:
    changed, prefix = replace(home, store=target), f"models/{champion.name}/{champion.version}"
    Storage(target).put(f"{prefix}/manifest.json", Storage(home.store).get(f"{prefix}/manifest.json"))
    with pytest.raises(ConfigurationError, match=f"it lacks {prefix}/model.onnx"):
        require_store(changed)
    shutil.copytree(local_folder(home.store) / prefix, local_folder(target) / prefix, dirs_exist_ok=True)
    with pytest.raises(
        ConfigurationError, match=r"it has no sailplane\.json, so it is not a copy of the previous store"
    ):
        require_store(changed)
    shutil.copytree(local_folder(home.store), local_folder(target), dirs_exist_ok=True)
    require_store(changed)
    installation.pair(changed)
    assert pairing.store(changed).root == target


def test_a_ledger_with_a_verdict_and_no_model_has_a_store_too(home: Home, champion: Model, target: str) -> None:
    history.keep(Ledger.at(home), verdict(champion), Storage(home.store))
    with Ledger.at(home).begin() as connection:
        connection.execute(sa.delete(aliases))
        connection.execute(sa.delete(models))
    with pytest.raises(ConfigurationError, match=r"it has no sailplane\.json"):
        require_store(replace(home, store=target))
    assert not local_folder(target).exists()


def test_a_store_that_lacks_a_model_without_a_champion_is_refused(home: Home, champion: Model, target: str) -> None:
    with Ledger.at(home).begin() as connection:
        connection.execute(sa.delete(aliases))
    require_store(home)
    local_folder(target).mkdir()
    with pytest.raises(ConfigurationError, match=f"manifest.json, the newest version of {champion.name} in the ledger"):
        require_store(replace(home, store=target))


def test_a_folder_that_cannot_be_a_store_is_named_and_not_left_to_tasks(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wrong = replace(home, store=f"{tmp_path.as_uri()}/file/store")
    new_ledger(home.ledger)
    with pytest.raises(StorageError, match="/file/store"):
        installation.pair(wrong)


def test_a_setting_in_the_environment_is_left_to_the_user(
    home: Home, champion: Model, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SETTING, home.store)
    move(home, target, Console(soft_wrap=True))
    assert f"export SAILPLANE_STORE={target}" in capsys.readouterr().out
    assert not (home.project / ".env").exists()


def test_the_other_lines_of_the_settings_stay(home: Home, champion: Model, target: str) -> None:
    file = home.project / ".env"
    file.write_text("# mine\nWANDB_API_KEY='a#b'\nSAILPLANE_STORE=file:///old # the store\nHF_TOKEN=x\n")
    os.environ[SETTING] = "file:///old"
    try:
        move(home, target, Console())
    finally:
        del os.environ[SETTING]
    assert dotenv_values(file) == {"WANDB_API_KEY": "a#b", SETTING: target, "HF_TOKEN": "x"}
    assert file.read_text().startswith("# mine\nWANDB_API_KEY='a#b'\n")


def test_a_move_and_an_up_exclude_each_other(home: Home, champion: Model, target: str) -> None:
    with staying(home), staying(home), pytest.raises(ServiceError, match="another move, or `sailplane up`, is running"):
        move(home, target, Console())
    assert not local_folder(target).exists()
    with locked(home.root / "move.lock"), pytest.raises(ServiceError, match="its store is being moved"):
        up(home, run=False)
    move(home, target, Console())


def test_a_place_inside_the_store_is_refused_before_it_is_made(home: Home, champion: Model) -> None:
    with pytest.raises(ConfigurationError, match="it is inside the store or around it"):
        move(home, f"{home.store}/inside", Console())
    assert not (local_folder(home.store) / "inside").exists()


def test_a_worker_elsewhere_that_holds_a_trial_is_waited_for(home: Home, champion: Model, target: str) -> None:
    row = {"config": {}, "state": "running", "worker": "w", "lease_until": time.time() + 60}
    with Ledger.at(home).begin() as connection:
        connection.execute(sa.insert(sweeps).values(id="s", config={}, seed=1, created=0.0))
        connection.execute(sa.insert(trials).values(sweep="s", number=1, **row))
    with pytest.raises(ServiceError, match="a worker elsewhere holds a trial or a rollout until"):
        move(home, target, Console())
    assert Storage(target).list() == []


def test_a_rollout_that_is_driven_elsewhere_is_waited_for(home: Home, champion: Model, target: str) -> None:
    held = {"driver": "d", "lease_until": time.time() + 60, "started": 0.0, "changed": 0.0, "attempt": 1, "revision": 1}
    row = {"name": "flights", "version": "v", "subject": {}, "plan": {}, "state": {}, "phase": "baking", **held}
    with Ledger.at(home).begin() as connection:
        connection.execute(sa.insert(rollouts).values(row))
    with pytest.raises(ServiceError, match="a worker elsewhere holds a trial or a rollout until"):
        move(home, target, Console())
    with Ledger.at(home).begin() as connection:
        connection.execute(sa.update(rollouts).values(phase="succeeded"))
    move(home, target, Console())


def test_nothing_is_moved_while_a_training_of_this_home_runs(home: Home, champion: Model, target: str) -> None:
    marks = {"SAILPLANE_HOME": str(home.root), orphans.MARK: "scheduler"}
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    # A killed scheduler left it, and supervisord is gone.
    with subprocess.Popen(command, env=os.environ | marks, stdin=subprocess.PIPE, start_new_session=True) as training:
        with pytest.raises(
            ServiceError, match=r"its services are running and write to it\. Run `sailplane down` first"
        ):
            move(home, target, Console())
        assert Storage(target).list() == []
        training.communicate()
    move(home, target, Console())


@pytest.mark.slow
def test_a_move_to_a_store_that_is_away_changes_nothing(
    home: Home, champion: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    before = Storage(home.store).list()
    with pytest.raises(StorageError, match=r"HEAD http:.*error sending request\. Check that the store is reachable"):
        move(home, "s3://bucket/store", Console())
    assert Storage(home.store).list() == before
    assert not (home.project / ".env").exists()


@pytest.mark.slow
def test_a_first_up_leaves_a_store_whose_address_only_a_connection_has_to_the_tasks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALGORITHMIA_API", raising=False)
    elsewhere = replace(home, store="data://.my/things")
    assert installation.lost(elsewhere) is None
    require_store(elsewhere)
    installation.pair(elsewhere)
    assert not (home.root / pairing.MEMORY).exists()


@pytest.mark.slow
def test_a_store_that_only_tasks_can_reach_is_left_to_them_and_one_that_nobody_can_is_named(
    home: Home, champion: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Storage, path: str) -> bool:
        raise AccessError("read", self.uri(path), got="403 Forbidden", remedy="Check the credentials.")

    monkeypatch.setattr(Storage, "exists", refused)
    monkeypatch.setattr(Storage, "list", refused)
    elsewhere = replace(home, store="s3://bucket/store")
    with pytest.raises(AccessError):
        # It is another store than before, so tasks refuse it until it was checked here.
        require_store(elsewhere)
    (home.root / pairing.MEMORY).unlink()
    require_store(elsewhere)
    monkeypatch.setattr(AirflowApi, "find", lambda _self, path: {"connection_id": path})
    require_access(elsewhere)
    monkeypatch.setattr(AirflowApi, "find", lambda _self, _path: None)
    with pytest.raises(ConfigurationError, match=r"403 Forbidden.*Create the Airflow connection aws_default"):
        require_access(elsewhere)
    with pytest.raises(ConfigurationError, match="Create the Airflow connection mine"):
        require_access(replace(home, store="s3://mine@bucket/store"))
    monkeypatch.setenv("AIRFLOW_CONN_MINE", "aws://")
    require_access(replace(home, store="s3://mine@bucket/store"))
