"""`sailplane rollback --to VERSION` for a version that cannot be served any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sailplane.cli import main
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry import holds
from sailplane.storage import Storage
from tests.homes import new_home
from tests.integration.deployment.routed import deploy, served_version
from tests.unit.bundles import tiny

Registered = Callable[..., Model]


@pytest.fixture
def serving(serving: ModelEndpoint, home: Home, monkeypatch: pytest.MonkeyPatch) -> ModelEndpoint:
    """An endpoint that the command finds."""
    monkeypatch.setenv("SAILPLANE_PROJECT", str(home.project))
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    monkeypatch.setenv("SAILPLANE_ROUTER_PORT", str(home.router_port))
    new_home(home)
    return serving


def assert_untouched(serving: ModelEndpoint, home: Home, version: str) -> None:
    champion = serving.champion()
    assert records.find(serving.ledger, "flights", version) is None, "nothing was begun"
    assert holds.find(serving.ledger, "flights") is None
    assert served_version(home) == champion


def test_a_damaged_version_starts_nothing_and_is_in_nobodys_way(
    serving: ModelEndpoint,
    platform: Home,
    ledger: Ledger,
    storage: Storage,
    registered: Registered,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged, newer = registered("run-2"), registered("run-3")
    graph = f"{storage.path(damaged.uri)}/model.onnx"
    storage.put(graph, storage.get(graph)[:100])
    assert main(["rollback", "flights", "--to", damaged.version]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert_untouched(serving, platform, damaged.version)
    assert main(["rollback", "flights"]) == 1
    said = capsys.readouterr()
    assert "roll back flights: no version served before this one." in said.err
    assert "serves" not in said.out, "nothing was ended, and nothing changed"
    assert deploy(platform, ledger, storage, newer).version == newer.version


def test_a_version_that_does_not_load_any_more_starts_nothing(
    serving: ModelEndpoint, platform: Home, registered: Registered, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "library"
    library.touch()
    needs = f"import pathlib\nif not pathlib.Path({str(library)!r}).exists():\n    raise ImportError('gone')\n"
    older = registered("run-2", features=tiny.COLUMNS + needs)
    library.unlink()
    assert main(["rollback", "flights", "--to", older.version]) == 1
    assert "gone" in capsys.readouterr().err
    assert_untouched(serving, platform, older.version)
