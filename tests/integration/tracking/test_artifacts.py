"""A published version at W&B: the unmodified client against a server on loopback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sailplane.records import Model
from sailplane.tracking.artifacts import link
from tests.wandb_server import KEY, WandbServer

WRONG = "f" * 40
URL = "http://hub/someone/flights/tree/abc"


def model(folder: Path, version: str = "abc") -> Model:
    bundle = folder / version
    bundle.mkdir(exist_ok=True)
    (bundle / "model.onnx").write_text(version)
    facts = {"digest": "d" * 64, "run": "flights/r/train", "dataset": "d1", "as_of": datetime(2026, 1, 1, tzinfo=UTC)}
    return Model(name="flights", version=version, uri=bundle.as_uri(), metrics={"auc": 0.7}, **facts)


def test_a_version_is_an_artifact_that_refers_to_the_store_and_to_the_hub_and_is_made_once(
    server: WandbServer, tmp_path: Path
) -> None:
    first = model(tmp_path)
    for _ in range(2):
        assert link(first, URL, tmp_path, {}) == "W&B: flights/flights:abc refers to it"
    link(model(tmp_path, "def"), URL, tmp_path, {})
    made, newer = server.artifacts.values()
    assert (made.name, made.kind, made.state, made.version) == ("flights", "model", "COMMITTED", 0)
    assert made.references == {"hub": URL, "store/model.onnx": f"{first.uri}/model.onnx"}
    assert made.metadata == {"digest": "d" * 64, "run": "flights/r/train", "dataset": "d1", "auc": 0.7}
    assert made.aliases == {"abc"}
    assert (newer.aliases, newer.version) == ({"def", "latest"}, 1)


def test_without_a_key_or_where_the_user_says_offline_nothing_is_asked(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert link(model(tmp_path), URL, tmp_path, {}) == ""
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    assert link(model(tmp_path), URL, tmp_path, {}) == ""
    assert server.asked == []


def test_a_connections_key_is_the_processs_own_and_one_that_is_wrong_is_said(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    settings = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
    assert "refers to it" in link(model(tmp_path), URL, tmp_path, settings)
    said = link(model(tmp_path, "def"), URL, tmp_path, {**settings, "WANDB_API_KEY": WRONG})
    assert "recorded offline" in said
    assert "refers to it" not in said
    assert WRONG not in said
    assert len(server.artifacts) == 1
