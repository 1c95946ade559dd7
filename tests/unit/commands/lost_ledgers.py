"""A home with a ledger, and ways to damage its file."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sailplane import pairing
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.target import TrafficSplit
from sailplane.evaluation import history
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Evaluation, Interval, Model
from sailplane.registry import models
from sailplane.services.backups import ledger_file
from tests.homes import new_home
from tests.unit.bundles import tiny

DAY = datetime(2026, 1, 1, tzinfo=UTC)
FAULTS = ["deleted", "truncated", "zeroed page"]


def made(home: Home, tmp_path: Path) -> Home:
    """Registers two versions, of which the first serves, and the verdict on the second."""
    new_home(home)
    ledger, storage = pairing.opened(home)
    found = []
    for number in range(2):
        bundle = tiny.bundle(tmp_path / f"bundle-{number}", run=f"run-{number}", bias=number / 10)
        found.append(models.register(ledger, storage, tiny.run_of(bundle, storage)))
    models.promote(ledger, found[0].name, found[0].version)
    history.keep(ledger, verdict(found[1]), storage)
    router = Router(home)
    router.write_bootstrap()
    router.add(found[0].name, found[0].version, 1)
    router.split(found[0].name, TrafficSplit({found[0].version: 100}))
    return home


def verdict(model: Model) -> history.Judged:
    assert model.lineage
    window = Interval(start=DAY, end=DAY + timedelta(days=1))
    evaluation = Evaluation(
        model=model.name,
        run=model.lineage,
        window=window,
        rows=1,
        metrics={"challenger": {"auc": 0.7}},
        champion=None,
        passed=True,
        reasons=("good",),
    )
    return history.Judged(dag="toy", dag_run="manual__1", kind="manual", day=DAY, evaluation=evaluation)


def everything(home: Home) -> object:
    """Returns the records that a rebuild restores."""
    ledger = Ledger(home.ledger)
    days = Interval(start=DAY, end=DAY + timedelta(days=1))
    found = [(one.model, one.created, one.aliases) for one in models.versions(ledger)]
    return found, history.verdicts(ledger, "toy", days), ledger.id


def spoil(home: Home, how: str) -> None:
    file = ledger_file(home)
    Ledger(home.ledger).engine.dispose()
    for beside in file.parent.glob("ledger.db-*"):
        beside.unlink()
    if how == "deleted":
        file.unlink()
    elif how == "truncated":
        os.truncate(file, file.stat().st_size // 2)
    else:
        with file.open("r+b") as opened:
            opened.seek(4096)
            opened.write(bytes(3 * 4096))
    pairing.forget()
