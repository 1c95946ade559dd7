"""`sailplane up` on a truncated ledger: the models are served, and the named remedies work.

It takes two minutes: it starts all services three times."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sailplane import pairing
from sailplane.deployment.envoy.router import Router
from sailplane.registry.models import alias, register
from tests.integration.deployment.routed import deploy
from tests.platform import Platform, started
from tests.unit.bundles import tiny

PROJECT = Path(__file__).parents[3]


def test_models_are_served_without_a_ledger_and_with_the_restored_one(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with started(tmp_path_factory.mktemp("lost") / "home", PROJECT) as platform:
        version = served(platform, tmp_path)
        assert platform.sailplane("ledger", "backup").returncode == 0
        assert platform.sailplane("down").returncode == 0
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


def served(platform: Platform, scratch: Path) -> str:
    ledger, storage = pairing.opened(platform.home)
    model = register(ledger, storage, tiny.run_of(tiny.bundle(scratch / "bundle"), storage))
    deploy(platform.home, ledger, storage, model)
    ledger.engine.dispose()
    return model.version
