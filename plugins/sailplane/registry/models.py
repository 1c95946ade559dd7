"""The register of models: their versions, and which of them is the champion.

Aliases change in one transaction each: see sailplane.registry.aliases.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import FILES, MANIFEST
from sailplane.errors import ModelError
from sailplane.files import temporary_folder
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import models
from sailplane.records import Evaluation, Model, Run
from sailplane.registry import version_records
from sailplane.registry.aliases import (
    CHAMPION,
    RolledBack,
    aliases_of,
    challenge,
    crown,
    rolled_back_of,
)
from sailplane.registry.card import CARD, card
from sailplane.storage import Storage
from sailplane.storage.store import NOT_MOVED, RESTORE


def register(
    ledger: Ledger,
    storage: Storage,
    run: Run,
    metrics: Mapping[str, float] | None = None,
    evaluation: Evaluation | None = None,
) -> Model:
    """Registers the run's model: copies its bundle to models/<name>/<version>/, then writes its row with the lineage,
    its record and its card. A version that passed its evaluation becomes the challenger. A second call changes nothing.

    `metrics` are recorded with the model; by default the run's. Raises ModelError if the bundle is damaged.
    """
    with temporary_folder() as scratch:
        bundle = fetch_bundle(storage, run.bundle, Path(scratch) / "bundle", run.digest)
        prefix = f"models/{bundle.manifest.model}/{bundle.version}"
        _put(storage, prefix, bundle)
        model = Model(
            name=bundle.manifest.model,
            version=bundle.version,
            uri=storage.uri(prefix),
            digest=bundle.digest,
            run=run.id,
            dataset=bundle.manifest.dataset,
            as_of=bundle.manifest.as_of,
            metrics=dict(run.metrics if metrics is None else metrics),
            lineage=run,
            evaluation=evaluation,
        )
        model, created = _keep(ledger, model)
        # Before the row existed, the garbage collector may have removed files that an earlier attempt had written.
        if not {f"{prefix}/{name}" for name in (*FILES, MANIFEST)} <= set(storage.list(prefix)):
            _put(storage, prefix, bundle)
        version_records.keep(storage, model, created)
        storage.put(f"{prefix}/{CARD}", str(card(model, bundle)).encode())
    return model


def _put(storage: Storage, prefix: str, bundle: Bundle) -> None:
    # The manifest comes last, so an interrupted copy has none.
    for name in (*FILES, MANIFEST):
        storage.put(f"{prefix}/{name}", (bundle.folder / name).read_bytes())


@persistent
def get(ledger: Ledger, name: str, version: str) -> Model:
    """The registered version. Raises ModelError if there is none."""
    with ledger.begin() as connection:
        return _get(connection, name, version)


@persistent
def find(ledger: Ledger, which: str) -> Model:
    """The version named by `name@version` or `name@alias`; for `name` the champion, or else the newest. Raises
    ModelError."""
    name, _, wanted = which.partition("@")
    with ledger.begin() as connection:
        known = [version.model for version in _versions(connection, name)]
        named = aliases_of(connection, name)
    version = named.get(wanted or CHAMPION, wanted)
    chosen = [model for model in known if model.version == version] if version else known
    if not chosen:
        remedy = "`sailplane models list` shows the registered models."
        raise ModelError("find model", which, got="no such version" if known else "no such model", remedy=remedy)
    return chosen[0]


@persistent
def known_at(ledger: Ledger, name: str, as_of: datetime) -> Model:
    """The version that `name` means for a run as of that time: the champion, or, if that was trained on later data, the
    newest version that was not. Raises ModelError."""
    with ledger.begin() as connection:
        known = [version.model for version in _versions(connection, name)]
        version = aliases_of(connection, name).get(CHAMPION)
    champion = next((model for model in known if model.version == version), None)
    if champion is None:
        remedy = f"Deploy one, or name it: {name}@VERSION. `sailplane models list` shows the registered models."
        raise ModelError("find the champion of", name, got="there is none", remedy=remedy)
    if champion.as_of <= as_of:
        return champion
    earlier = [model for model in known if model.as_of <= as_of]
    if not earlier:
        got = f"every version was trained on later data, the champion on data up to {champion.as_of:%Y-%m-%d}"
        remedy = f"To use the champion anyway, name it: {name}@champion."
        raise ModelError("find model", f"{name} as of {as_of:%Y-%m-%d}", got=got, remedy=remedy)
    # If several have the same `as_of`, the first is the newest.
    return max(earlier, key=lambda model: model.as_of)


@dataclass(frozen=True)
class RegisteredVersion:
    """`created` is in seconds since 1970."""

    model: Model
    created: float
    aliases: tuple[str, ...] = ()
    rolled_back: RolledBack | None = None


def measured_on(model: Model) -> str:
    """The window of `model.metrics`: the test days of its evaluation, or the validation days of its training."""
    if model.evaluation and model.metrics == model.evaluation.metrics.get("challenger"):
        return f"test {model.evaluation.window}"
    if model.lineage:
        return f"validation {model.lineage.dataset.windows.validation}"
    return "not recorded"


@persistent
def versions(ledger: Ledger, name: str | None = None) -> list[RegisteredVersion]:
    """Sorted by name, then newest first."""
    with ledger.begin() as connection:
        return _versions(connection, name)


@persistent
def alias(ledger: Ledger, name: str, alias: str) -> Model | None:
    """The version with the alias, if there is one."""
    with ledger.begin() as connection:
        version = aliases_of(connection, name).get(alias)
        return _get(connection, name, version) if version else None


@persistent
def promote(ledger: Ledger, name: str, version: str) -> None:
    """Makes the version the champion, and the old champion `previous` unless it was rolled back. Raises ModelError, and
    changes nothing, if the version is not registered."""
    with ledger.begin() as connection:
        promote_within(connection, name, version)


def promote_within(connection: sa.Connection, name: str, version: str) -> None:
    """`promote` within a transaction."""
    _get(connection, name, version)
    crown(connection, name, version)


def fetch(storage: Storage, model: Model, folder: Path) -> Bundle:
    """Downloads the registered bundle. Raises ModelError if it is missing, damaged, or has another digest."""
    bundle = fetch_bundle(storage, model.uri, folder)
    if bundle.digest != model.digest:
        raise ModelError("fetch", model.uri, got=f"digest {bundle.digest[:12]}", expected=model.digest[:12])
    return bundle


def fetch_bundle(storage: Storage, uri: str, folder: Path, digest: str | None = None) -> Bundle:
    """Downloads the bundle at a URI of the store. Raises ModelError if it is missing, damaged, or has another digest,
    as after the train step was cleared."""
    try:
        storage.download(storage.path(uri), folder)
    except FileNotFoundError as error:
        raise ModelError("fetch bundle", uri, got="nothing there", remedy=f"Train it again. {NOT_MOVED}") from error
    bundle = _opened(uri, folder)
    if digest and bundle.digest != digest:
        got, remedy = f"digest {bundle.digest[:12]}", "Clear the tasks that follow the train step too."
        raise ModelError("fetch bundle", uri, got=got, expected=digest[:12], remedy=remedy)
    return bundle


def _opened(uri: str, folder: Path) -> Bundle:
    """Opens the copy; errors name the bundle in the store."""
    try:
        return Bundle.open(folder)
    except ModelError as error:
        remedy = f"{RESTORE} If it was not registered yet, train it again."
        raise ModelError("fetch bundle", uri, got=f"it is damaged: {error}", remedy=remedy) from error


@persistent
def _keep(ledger: Ledger, model: Model) -> tuple[Model, float]:
    """Inserts the model if it is new. Returns the model on the ledger, and when it was registered."""
    with ledger.begin() as connection:
        query = sa.select(models.c.record, models.c.created).where(
            models.c.name == model.name, models.c.version == model.version
        )
        before, created = connection.execute(query).one_or_none(), time.time()
        if before is None:
            row = {"name": model.name, "version": model.version, "record": model.to_dict(), "created": created}
            connection.execute(sa.insert(models).values(row))
        passed = model.evaluation is not None and model.evaluation.passed
        if passed:
            challenge(connection, model.name, model.version)
    return (model, created) if before is None else (Model.from_dict(before.record), before.created)


def _get(connection: sa.Connection, name: str, version: str) -> Model:
    query = sa.select(models.c.record).where(models.c.name == name, models.c.version == version)
    record = connection.execute(query).scalar_one_or_none()
    if record is None:
        raise ModelError("find model", f"{name} {version}", got="no such version", remedy="Register it first.")
    return Model.from_dict(record)


def _versions(connection: sa.Connection, name: str | None) -> list[RegisteredVersion]:
    query = sa.select(models.c.record, models.c.created).order_by(models.c.name, models.c.created.desc())
    found = connection.execute(query if name is None else query.where(models.c.name == name)).all()
    known = [(Model.from_dict(row.record), row.created) for row in found]
    names = {model.name for model, _ in known}
    named = {name: aliases_of(connection, name) for name in names}
    bad = {name: rolled_back_of(connection, name) for name in names}
    return [
        RegisteredVersion(
            model,
            created,
            tuple(sorted(a for a, to in named[model.name].items() if to == model.version)),
            bad[model.name].get(model.version),
        )
        for model, created in known
    ]
