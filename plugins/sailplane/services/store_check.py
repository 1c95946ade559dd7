"""Checks that the current store belongs to the ledger and can be reached."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from sailplane import pairing
from sailplane.bundles.manifest import FILES, MANIFEST
from sailplane.errors import ConfigurationError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.rewriting import make_relative
from sailplane.ledger.tables import evaluations, models, trials
from sailplane.registry.aliases import CHAMPION
from sailplane.registry.models import RegisteredVersion, versions
from sailplane.services import installation, object_store
from sailplane.services.airflow_api import AirflowApi
from sailplane.storage import Storage
from sailplane.storage.roots import DEFAULTS, Root, is_absent
from sailplane.storage.store import IDENTITY

MOVED: Final = "moved.json"


def require_store(home: Home) -> None:
    """ConfigurationError if the store was moved elsewhere, lacks a model's champion (or newest version, if there is no
    champion), or is a different store and not a copy. Also makes URIs of earlier releases relative to it."""
    require_current(home)
    ledger, another = Ledger.at(home), pairing.names_another_store(home)
    with installation.left_to_tasks(home):
        _require_models(home, _expected(versions(ledger)), (MANIFEST, *FILES) if another else (MANIFEST,))
        if another and not _is_empty(ledger):
            _require_copy(home)
    with ledger.begin() as connection:
        make_relative(connection, Root.parse(home.store).uri)


def require_current(home: Home) -> None:
    """ConfigurationError if the store was moved elsewhere."""
    root, elsewhere = Root.parse(home.store).uri, moved(home)
    if root in elsewhere.get("from", ()):
        remedy = f"Set SAILPLANE_STORE={elsewhere['to']}."
        raise ConfigurationError("open the store", root, got=f"it was moved to {elsewhere['to']}", remedy=remedy)


def _require_copy(home: Home) -> None:
    """ConfigurationError unless the store has an id, as a complete copy has."""
    root = Root.parse(home.store)
    if is_absent(root) or pairing.store_id(open_store(home)) is None:
        raise _lacking(root.uri, f"it has no {IDENTITY}, so it is not a copy of the previous store")


def _is_empty(ledger: Ledger) -> bool:
    with ledger.begin() as connection:
        tables = (models, evaluations, trials)
        return all(connection.execute(sa.select(table).limit(1)).first() is None for table in tables)


def _expected(newest_first: Sequence[RegisteredVersion]) -> dict[str, RegisteredVersion]:
    """The champion of each model, else its newest version."""
    found: dict[str, RegisteredVersion] = {}
    for version in newest_first:
        if CHAMPION in version.aliases:
            found[version.model.name] = version
        found.setdefault(version.model.name, version)
    return found


def _require_models(home: Home, expected: Mapping[str, RegisteredVersion], files: Sequence[str]) -> None:
    root = Root.parse(home.store)
    for name, version in expected.items():
        named = f"the {'champion' if CHAMPION in version.aliases else 'newest version'} of {name} in the ledger"
        if is_absent(root):
            raise _lacking(root.uri, f"the folder does not exist; expected {named}")
        storage = open_store(home)
        folder = storage.path(version.model.uri)
        there = set(storage.list(folder))
        for path in (f"{folder}/{file}" for file in files):
            if path not in there:
                raise _lacking(storage.root, f"it lacks {path}, {named}")


def _lacking(root: str, got: str) -> ConfigurationError:
    remedy = "Set SAILPLANE_STORE back to the previous store. `sailplane store move URI` copies it to another one."
    return ConfigurationError("open the store", root, got=got, remedy=remedy)


def require_access(home: Home) -> None:
    """ConfigurationError if neither this process nor an Airflow connection has credentials for the store."""
    root = Root.parse(home.store)
    if root.scheme == "file" or home.has_s3:
        return
    try:
        open_store(home).exists(IDENTITY)
    except StorageError as error:
        name = root.connection or DEFAULTS[root.scheme]
        with AirflowApi(home) as api:
            known = f"AIRFLOW_CONN_{name.upper()}" in os.environ or api.find(f"/connections/{name}") is not None
        if not known:
            remedy = f"Create the Airflow connection {name}, set the credentials in the environment, or set "
            remedy += "SAILPLANE_STORE back."
            raise ConfigurationError("open the store", root.uri, got=error, remedy=remedy) from error


def open_store(home: Home) -> Storage:
    """Opens the home's store, including an embedded S3 that `store move` runs."""
    return Storage(home.store, object_store.credentials(home) if home.has_s3 else None)


def moved(home: Home) -> dict[str, Sequence[str]]:
    """The new URI of the store (`to`) and its earlier URIs (`from`); empty if it was never moved."""
    file = home.root / MOVED
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        remedy = f'Write {{"from": [OLD STORES], "to": "{Root.parse(home.store).uri}"}} into it.'
        raise ConfigurationError("read", file, got=f"damaged: {error}", remedy=remedy) from error
