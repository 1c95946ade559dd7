"""`sailplane ledger restore` of a backup that is older than the store and the router."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from sailplane import pairing
from sailplane.commands.ledger import COMMANDS
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.registry import models
from sailplane.registry.garbage import Collector
from sailplane.services import installation
from sailplane.services.backups import backup
from tests.unit.bundles import tiny
from tests.unit.commands.lost_ledgers import spoil


@pytest.mark.slow
def test_a_backup_from_before_a_deployment_says_what_serves_now(made: Home, tmp_path: Path) -> None:
    """The restored ledger also has the versions and verdicts since then."""
    backup(made)
    ledger, storage = pairing.opened(made)
    bundle = tiny.bundle(tmp_path / "newest", run="run-9", bias=0.9)
    newest = models.register(ledger, storage, tiny.run_of(bundle, storage))
    models.promote(ledger, newest.name, newest.version)
    Router(made).add(newest.name, newest.version, 2)
    Router(made).split(newest.name, TrafficSplit({newest.version: 100}))
    spoil(made, "deleted")
    assert COMMANDS["restore"](made, argparse.Namespace(backup="newest")) == 0
    champion = models.alias(Ledger(made.ledger), newest.name, "champion")
    assert champion
    assert champion.version == newest.version
    assert [(one.version, dict(one.weights)) for one in deployments(Ledger(made.ledger))] == [
        (newest.version, {newest.version: 100})
    ]
    assert Collector(*pairing.opened(made)).find().versions == ()


def test_a_lost_ledger_and_a_mistyped_store_do_not_read_as_no_backup(made: Home) -> None:
    backup(made)
    spoil(made, "truncated")
    found = installation.lost(replace(made, store=(made.root / "typo").as_uri()))
    assert found
    assert "brings back the newest backup, once SAILPLANE_STORE can be read" in str(found)
    assert not (made.root / "typo").exists()
    assert "Z.db` brings back the newest backup" in str(installation.lost(made))
