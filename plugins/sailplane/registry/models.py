"""The register: which versions of a model there are, and which of them is the champion."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from sailplane.errors import ModelError
from sailplane.ledger import Ledger
from sailplane.ledger.tables import aliases, models
from sailplane.records import Model, Run
from sailplane.registry.bundle import Bundle
from sailplane.registry.manifest import FILES, MANIFEST
from sailplane.storage import Storage


def register(ledger: Ledger, storage: Storage, run: Run, metrics: Mapping[str, float] | None = None) -> Model:
    """Copies the run's bundle to models/<name>/<version>/ and then writes its row. A second call changes nothing.

    `metrics` are the ones to keep with the model, the run's own by default. Raises ModelError if the bundle is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="sailplane-") as scratch:
        bundle = fetch_bundle(storage, run.bundle, Path(scratch) / "bundle")
        prefix = f"models/{bundle.manifest.model}/{bundle.version}"
        # The manifest last: a copy that broke off has none.
        for name in (*FILES, MANIFEST):
            storage.put(f"{prefix}/{name}", (bundle.folder / name).read_bytes())
    model = Model(
        name=bundle.manifest.model,
        version=bundle.version,
        uri=storage.uri(prefix),
        digest=bundle.digest,
        run=run.id,
        dataset=bundle.manifest.dataset,
        as_of=bundle.manifest.as_of,
        metrics=dict(run.metrics if metrics is None else metrics),
    )
    return _keep(ledger, model)


def get(ledger: Ledger, name: str, version: str) -> Model:
    """Raises ModelError."""
    with ledger.begin() as connection:
        return _get(connection, name, version)


def alias(ledger: Ledger, name: str, alias: str) -> Model | None:
    """The version that carries the alias, if one does."""
    with ledger.begin() as connection:
        query = sa.select(aliases.c.version).where(aliases.c.name == name, aliases.c.alias == alias)
        version = connection.execute(query).scalar_one_or_none()
        return _get(connection, name, version) if version else None


def set_alias(ledger: Ledger, name: str, alias: str, version: str) -> None:
    """Moves the alias to the version. Raises ModelError if it is not registered."""
    with ledger.begin() as connection:
        move_alias(connection, name, alias, version)


def move_alias(connection: sa.Connection, name: str, alias: str, version: str) -> None:
    """`set_alias` as a part of a transaction."""
    _get(connection, name, version)
    connection.execute(sa.delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
    connection.execute(sa.insert(aliases).values(name=name, alias=alias, version=version, changed=time.time()))


def fetch(storage: Storage, model: Model, folder: Path) -> Bundle:
    """A copy of the registered bundle. Raises ModelError if it is not there, damaged, or another one."""
    bundle = fetch_bundle(storage, model.uri, folder)
    if bundle.digest != model.digest:
        raise ModelError("fetch", model.uri, got=f"digest {bundle.digest[:12]}", expected=model.digest[:12])
    return bundle


def fetch_bundle(storage: Storage, uri: str, folder: Path) -> Bundle:
    """A copy of the bundle at that URI of the store. Raises ModelError if it is not there, or damaged."""
    try:
        storage.download(storage.path(uri), folder)
    except FileNotFoundError as error:
        raise ModelError("fetch bundle", uri, got="nothing there", remedy="Train the model again.") from error
    return Bundle.open(folder)


def _keep(ledger: Ledger, model: Model) -> Model:
    with ledger.begin() as connection:
        query = sa.select(models.c.record).where(models.c.name == model.name, models.c.version == model.version)
        kept = connection.execute(query).scalar_one_or_none()
        if kept is not None:
            return Model.from_dict(kept)
        row = {"name": model.name, "version": model.version, "record": model.to_dict(), "created": time.time()}
        connection.execute(sa.insert(models).values(row))
    return model


def _get(connection: sa.Connection, name: str, version: str) -> Model:
    query = sa.select(models.c.record).where(models.c.name == name, models.c.version == version)
    record = connection.execute(query).scalar_one_or_none()
    if record is None:
        raise ModelError("find model", f"{name} {version}", got="no such version", remedy="Register it first.")
    return Model.from_dict(record)
