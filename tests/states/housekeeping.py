"""Actions on the whole platform: start, stop, collect garbage, move the store, repair the ledger."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

from rich.console import Console

from sailplane import pairing
from sailplane.deployment.envoy.router import router_program
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.token import take_token
from sailplane.errors import LedgerError
from sailplane.evaluation import history
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.engines import engine_of
from sailplane.registry import trash
from sailplane.registry.garbage import Collector, Garbage
from sailplane.services import backups, installation, moving, rebuilding, store_check
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor

Loss = Literal["deleted", "truncated", "overwritten"]


def up(home: Home) -> LedgerError | None:
    """Runs `sailplane up` without Airflow. Returns why the ledger cannot be used, if it cannot."""
    fault = installation.lost(home)
    if not fault:
        store_check.require_store(home)
        installation.pair(home)
    supervisor = Supervisor(home)
    take_token(home)
    supervisor.put(router_program(home))
    renew(home)
    supervisor.boot()
    supervisor.update()
    for name, state in supervisor.states().items():
        if state.state in {"STOPPED", "EXITED", "FATAL"}:
            supervisor.start(name)
    return fault


def down(home: Home) -> None:
    Supervisor(home).shutdown()


def collect(home: Home) -> Garbage:
    """Collects all objects that nothing references, even new ones."""
    return Collector(*pairing.opened(home), keep=2, grace_seconds=-1).collect()


def put_back(home: Home) -> list[str]:
    """Puts back everything from the trash. Returns the paths."""
    storage = pairing.store(home)
    folders = {entry.path.split("/")[2] for entry in storage.entries(trash.TRASH)} - {"forgotten"}
    return [path for folder in sorted(folders) for path in trash.restore(storage, folder)]


def back_up(home: Home) -> str:
    return backups.backup(home)


def restore(home: Home) -> None:
    """Restores the newest undamaged backup, and adds what the store has gained since."""
    names = [path.rpartition("/")[2] for path in backups.backups(Storage(home.store))]
    for name in reversed(names):
        try:
            backups.restore(home, name)
        except LedgerError:
            if name == names[0]:
                raise
        else:
            break
    rebuild(home)


def rebuild(home: Home) -> None:
    rebuilding.rebuild(home)


def move(home: Home, uri: str) -> None:
    moving.move(home, uri, Console(file=io.StringIO()))


def spoil(file: Path, loss: Loss) -> None:
    if loss == "deleted":
        file.unlink()
    elif loss == "truncated":
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)
    else:
        file.write_bytes(b"no database" * 100)


def judged_runs(home: Home) -> set[str]:
    """Returns the runs whose verdict is on the ledger."""
    with Ledger.at(home).begin() as connection:
        return {run for _dag, run, _model in history.keys_within(connection)}


def forget_connections(home: Home) -> None:
    """Closes the connections, because another process changes the files."""
    engine_of(home.ledger).dispose()
    pairing.forget()
