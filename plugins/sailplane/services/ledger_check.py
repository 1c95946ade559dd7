"""Checks a ledger: its pages, its tables, its store and its backups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import sqlalchemy as sa

from sailplane import pairing
from sailplane.home import Home
from sailplane.ledger import Ledger, copies
from sailplane.ledger.comparison import make_indexes
from sailplane.ledger.tables import identity
from sailplane.registry import trash, version_records
from sailplane.services.backups import backups, ledger_file
from sailplane.storage import Storage

LATE_SECONDS = 3 * 86400.0


def check(home: Home, tell: Callable[[str], object]) -> list[str]:
    """The problems; `tell` gets notes and repairs. LedgerError for a ledger that cannot be used at all."""
    ledger = Ledger.at(home)
    if on_disk := ledger.engine.dialect.name == "sqlite":
        copies.verify(ledger_file(home))
    with ledger.begin() as connection:
        made, lost = make_indexes(connection)
    for index in made:
        tell(f"The index {index} was missing and has been restored.")
    problems = [f"{name} is missing. Restore a backup: `sailplane ledger restore`." for name in lost]
    ledger, storage = pairing.opened(home)
    tell(f"The ledger {ledger.location} and the store {storage.root} have the id {ledger.id}.")
    problems += _version_problems(ledger, storage)
    return [*problems, *(_backup_problems(ledger, storage, tell) if on_disk else ())]


def _version_problems(ledger: Ledger, storage: Storage) -> Iterator[str]:
    there = version_records.registered(storage.entries("models")) - trash.marked(storage)
    known = version_records.known(ledger, storage)
    for name, version in sorted(there - known):
        yield f"The store holds {name} {version}, but the ledger does not: `sailplane ledger rebuild` adds it."
    for name, version in sorted(known - there):
        yield f"The ledger names {name} {version}, but the store does not hold it: restore the store from a backup."


def _backup_problems(ledger: Ledger, storage: Storage, tell: Callable[[str], object]) -> Iterator[str]:
    found = backups(storage)
    since = storage.head(found[-1]).modified.timestamp() if found else _created(ledger)
    age = f"The newest backup is from {datetime.fromtimestamp(since, UTC):%Y-%m-%d}" if found else "There is no backup"
    if time.time() - since > LATE_SECONDS:
        yield f"{age}. `sailplane ledger backup` makes one; `sailplane status` says why the daily backup failed."
    elif not found:
        tell(f"{age} yet. The services make one each day; `sailplane ledger backup` makes one now.")


def _created(ledger: Ledger) -> float:
    with ledger.begin() as connection:
        return float(connection.execute(sa.select(identity.c.created)).scalar_one())
