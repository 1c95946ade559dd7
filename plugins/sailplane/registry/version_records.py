"""The record of a registered version beside its bundle in the store. A lost ledger is rebuilt from these records."""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa

from sailplane.bundles.manifest import MANIFEST, RECORD
from sailplane.errors import LedgerError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import models
from sailplane.records import Model
from sailplane.registry import trash
from sailplane.registry.card import CARD
from sailplane.storage import ObjectInfo, Storage
from sailplane.storage.roots import RELATIVE

Key = tuple[str, str]


def keep(storage: Storage, model: Model, created: float) -> None:
    """Writes the record. `created` is the time of registration, in seconds since 1970."""
    content = json.dumps({"record": model.to_dict(), "created": created})
    storage.put(f"models/{model.name}/{model.version}/{RECORD}", content.encode())
    trash.unmark(storage, model.name, model.version)


def registered(entries: Iterable[ObjectInfo]) -> set[Key]:
    """The registered versions among the objects of models/, as (model, version). Earlier releases wrote only a card."""
    found = set()
    for entry in entries:
        folder, _, file = entry.path.rpartition("/")
        parts = folder.split("/")
        if parts[0] == "models" and len(parts) == 3 and file in (RECORD, CARD):
            found.add((parts[1], parts[2]))
    return found


@persistent
def known(ledger: Ledger, storage: Storage) -> set[Key]:
    """The versions on the ledger whose bundles are in this store."""
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(models.c.name, models.c.version, models.c.record)).all()
    return {
        (row.name, row.version)
        for row in rows
        if str(row.record["uri"]).startswith((f"{storage.root}/", f"{RELATIVE}/"))
    }


@persistent
def complete(ledger: Ledger, storage: Storage) -> None:
    """Writes the missing records of versions that an earlier release registered, because only the ledger has their
    lineage."""
    there = {entry.path for entry in storage.entries("models")}
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(models)).all()
    for row in rows:
        prefix = f"models/{row.name}/{row.version}"
        if f"{prefix}/{RECORD}" not in there and f"{prefix}/{MANIFEST}" in there:
            keep(storage, Model.from_dict(row.record), row.created)


@persistent
def refuse_unknown(ledger: Ledger, storage: Storage, entries: Iterable[ObjectInfo]) -> None:
    """Raises LedgerError if the store holds registered versions that the ledger does not know. The ledger then belongs
    to another store, or has lost them, and everything that they need would look like garbage."""
    with ledger.begin() as connection:
        on_ledger = {(row.name, row.version) for row in connection.execute(sa.select(models.c.name, models.c.version))}
    strangers = registered(entries) - on_ledger
    if strangers and (unknown := sorted(strangers - trash.marked(storage))):
        names = ", ".join(f"{name} {version}" for name, version in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        got = f"{storage.root} holds models that this ledger does not know: {names}{more}; nothing was deleted"
        raise LedgerError(ledger.location, "incomplete", got=got)
