"""`sailplane up` on a truncated ledger: the models are served, and the named remedies work.

It takes two minutes: it starts all services three times."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane import pairing
from sailplane.deployment.envoy.router import Router, router_program
from sailplane.registry.models import alias, register
from sailplane.supervisor import Supervisor
from tests.homes import new_home
from tests.integration.deployment.routed import deploy
from tests.platform import Platform, new_platform
from tests.unit.bundles import tiny

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = new_platform(tmp_path / "home", PROJECT)
    try:
        yield platform
    finally:
        platform.sailplane("down")


def test_models_are_served_without_a_ledger_and_with_the_restored_one(platform: Platform, tmp_path: Path) -> None:
    version = backed_up(platform, tmp_path)
    file = platform.home.root / "ledger.db"
    os.truncate(file, file.stat().st_size // 2)

    ended = platform.sailplane("up", "--no-run")
    assert ended.returncode == 1
    (backup,) = (path.name for path in (platform.store / "ledger").iterdir())
    for part in (
        f"flights {version} is served at",
        f"use the ledger {file}: the file is damaged",
        f"`sailplane ledger restore {backup}`",
        "`sailplane ledger rebuild`",
        "`sailplane ledger init`",
    ):
        assert part in ended.stdout, f"{ended.stdout}{ended.stderr}\n{platform.service_logs()}"
    assert Router(platform.home).version_at("flights") == version
    status = platform.sailplane("status", "--json")
    told = json.loads(status.stdout)
    assert status.returncode == 1
    assert str(file) in told["ledger"]
    assert [(model["name"], model["version"]) for model in told["models"]] == [("flights", version)]
    assert {service["state"] for service in told["services"]} == {"running"}
    refused = platform.sailplane("ledger", "restore")
    assert refused.returncode == 1
    assert "Run `sailplane down` first" in refused.stderr

    assert platform.sailplane("down").returncode == 0
    restored = platform.sailplane("ledger", "restore")
    assert restored.returncode == 0, restored.stderr
    ended = platform.sailplane("up", "--no-run")
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"
    champion = alias(pairing.ledger(platform.home), "flights", "champion")
    assert champion
    assert champion.version == version == Router(platform.home).version_at("flights")


def backed_up(platform: Platform, scratch: Path) -> str:
    """The version of a model that was served before all processes ended. Airflow has no part in that."""
    home = platform.home
    ledger, storage = pairing.opened(new_home(home))
    supervisor = Supervisor(home)
    supervisor.boot()
    try:
        supervisor.put(router_program(home))
        supervisor.update()
        model = register(ledger, storage, tiny.run_of(tiny.bundle(scratch / "bundle"), storage))
        deploy(home, ledger, storage, model)
        assert platform.sailplane("ledger", "backup").returncode == 0
    finally:
        supervisor.shutdown()
        ledger.engine.dispose()
    return model.version
