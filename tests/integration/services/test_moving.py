"""Moves the store into a real S3 and out of it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sailplane import pairing
from sailplane.errors import AccessError
from sailplane.home import EMBEDDED_S3, Home
from sailplane.ledger import Ledger
from sailplane.registry.models import fetch, find, promote, register
from sailplane.services.moving import SETTING, move
from sailplane.services.object_store import credentials
from sailplane.services.orphans import marked
from sailplane.storage import Storage
from sailplane.storage.store import IDENTITY
from tests.s3 import S3Server, free_row, s3_server
from tests.unit.bundles import tiny


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv(SETTING, raising=False)
    settings = {"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(tmp_path / "home")}
    home = Home.find({**settings, "SAILPLANE_S3_PORT": str(free_row())})
    monkeypatch.setenv("SAILPLANE_S3_PORT", str(home.s3_port))
    Ledger.create(home.ledger)
    ledger, storage = pairing.opened(home)
    model = register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "bundle"), storage))
    promote(ledger, model.name, model.version)
    return home


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "s3") as server:
        yield server


def test_the_store_moves_into_the_embedded_s3_and_back_to_another_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Storage(home.store)
    inside = replace(home, store=f"s3://{EMBEDDED_S3}/moved")
    back = replace(home, store=(tmp_path / "back").as_uri())
    move(home, inside.store, Console())
    monkeypatch.setenv(SETTING, inside.store)
    move(inside, back.store, Console())
    assert marked(home) == []
    after = Storage(back.store)
    kept = [{path: one.get(path) for path in one.list() if path != IDENTITY} for one in (before, after)]
    assert kept[0] == kept[1]
    assert after.earlier_roots() == (before.root, inside.store)
    model = find(Ledger.at(back), "flights")
    assert fetch(after, model, tmp_path / "copy").digest == model.digest
    assert credentials(inside)().endpoint == f"http://127.0.0.1:{home.s3_port}"


def test_wrong_credentials_are_named_and_nothing_changes(
    home: Home, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(s3.access.key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(AccessError, match="s3://others-bucket"):
        move(home, "s3://others-bucket/moved", Console())
    assert not (home.project / ".env").exists()
