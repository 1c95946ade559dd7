"""Rebuilds a ledger from the store: models with their lineage, verdicts, and what is served. Records that only the
ledger held are lost; see LOST.
"""

from __future__ import annotations

import json
import time
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from sailplane import pairing
from sailplane.bundles.manifest import MANIFEST, RECORD, Manifest
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.endpoint import routed
from sailplane.deployment.rollout.records import RolloutRecord, active_within
from sailplane.deployment.rollout.repository import end_within
from sailplane.errors import DataError, LedgerError
from sailplane.evaluation import history
from sailplane.files import private_folder
from sailplane.home import Home
from sailplane.ledger import Ledger, copies
from sailplane.ledger.relative import resolve_against
from sailplane.ledger.schema import revision
from sailplane.ledger.tables import aliases, deployments, models
from sailplane.records import Deployment, Model
from sailplane.registry import trash, version_records
from sailplane.registry.aliases import CHAMPION
from sailplane.registry.models import promote_within
from sailplane.services.backups import is_file, ledger_file, refuse_while_running
from sailplane.services.installation import create
from sailplane.storage import ObjectInfo, Storage

# Each with the remedy for the user.
LOST: Final = (
    "sweeps with their trials and share tokens: clear the tasks of unfinished sweeps",
    "rollouts: an unfinished rollout stays at its step until the model is deployed again",
    "the aliases `previous` and `challenger`: `sailplane rollback MODEL --to VERSION` needs neither",
    "holds and rolled-back versions: `sailplane rollback MODEL --to VERSION` with the serving version restores a hold",
    "deployments on clusters: deploy again",
    "the code version of unfinished runs: they continue with the current code",
    "keys of the Algorithmia twin and reports of algorithms: create new keys",
)


@dataclass(frozen=True)
class Rebuilt:
    """The added rows. `unreadable` lists skipped objects, `without_champion` models without a champion, and `aside` is
    the path of the damaged file, which is kept."""

    models: tuple[str, ...]
    evaluations: int
    champions: tuple[str, ...]
    unreadable: tuple[str, ...]
    without_champion: tuple[str, ...] = ()
    aside: Path | None = None


def rebuild(home: Home) -> Rebuilt:
    """Adds the records that the store has and the ledger lacks, and records what the router serves. Creates the ledger
    first if it is missing or damaged. A killed rebuild either changes nothing or is complete. ServiceError while
    services run on a damaged ledger, LedgerError for the ledger of another store, ConfigurationError for another store
    than the recorded one."""
    storage = pairing.recorded_store(home)
    if _readable(home):
        create(home)
        pairing.known_id(home, storage)
        pairing.remember(home, storage, pairing.claim(Ledger.at(home), storage))
        return _fill(home, Ledger.at(home), storage)
    refuse_while_running(home, "rebuild")
    file = ledger_file(home)
    private_folder(home.root)
    new = file.with_name(f"{file.name}.new")
    for suffix in ("", *copies.BESIDE):
        new.with_name(f"{new.name}{suffix}").unlink(missing_ok=True)
    ledger = Ledger.create(f"sqlite:///{new}")
    resolve_against(ledger.engine, storage.root)
    if known := pairing.known_id(home, storage):
        ledger.take_id(known)
    found = _fill(home, ledger, storage)
    pairing.remember(home, storage, pairing.write_id(storage, ledger.id))
    ledger.engine.dispose()
    aside = copies.put_in_place(new, file)
    pairing.forget()
    return replace(found, aside=aside)


def _readable(home: Home) -> bool:
    """False for a damaged or missing file, which is then replaced."""
    try:
        found = revision(home.ledger)
        if is_file(home):
            copies.verify(ledger_file(home))
    except LedgerError as error:
        if error.reason not in ("missing", "damaged"):
            raise
        return False
    # PostgreSQL's tables are created in place.
    return found is not None or not is_file(home)


def _fill(home: Home, ledger: Ledger, storage: Storage) -> Rebuilt:
    unreadable: list[str] = []
    added, judged = _models(storage, unreadable), _verdicts(storage, unreadable)
    routes, servers = routed(home), Router(home).ports()
    with ledger.begin() as connection:
        there = {(row.name, row.version) for row in connection.execute(sa.select(models.c.name, models.c.version))}
        new = {key: row for key, row in added.items() if key not in there}
        for row in new.values():
            connection.execute(sa.insert(models).values(row))
        known = [route for route in routes if (route.name, route.version) in {*there, *added}]
        champions = [champion for route in known if (champion := _follow_router(connection, route, servers))]
        before = history.keys_within(connection)
        fresh = [found for found in judged if (found.dag, found.dag_run, found.evaluation.model) not in before]
        for verdict in fresh:
            history.keep_within(connection, verdict)
        served = set(connection.execute(sa.select(aliases.c.name).where(aliases.c.alias == CHAMPION)).scalars())
    without = tuple(sorted({name for name, _ in {*there, *added}} - served))
    return Rebuilt(tuple(f"{n} {v}" for n, v in sorted(new)), len(fresh), tuple(champions), tuple(unreadable), without)


def _follow_router(connection: sa.Connection, served: Deployment, servers: Container[tuple[str, str]]) -> str | None:
    """Records in the ledger what the router serves, and ends a rollout that cannot continue from there. Returns the
    champion if it or its traffic changed."""
    name = served.name
    query = sa.select(aliases.c.version).where(aliases.c.name == name, aliases.c.alias == CHAMPION)
    champion = connection.execute(query).scalar()
    if champion is not None and champion in served.weights:
        served = replace(served, version=champion)
    record = connection.execute(sa.select(deployments.c.record).where(deployments.c.name == name)).scalar()
    rollout = active_within(connection, name)
    continues = rollout is not None and _continues(rollout, served, servers)
    if not continues:
        end_within(connection, name, "the ledger was restored, and the router serves something else", "rebuild")
    if record and champion == served.version and record["weights"] == dict(served.weights):
        return None
    if not continues:
        promote_within(connection, name, served.version)
    connection.execute(sa.delete(deployments).where(deployments.c.name == name))
    row = {"name": name, "record": served.to_dict(), "changed": time.time()}
    connection.execute(sa.insert(deployments).values(row))
    return f"{name} {served.version}"


def _continues(rollout: RolloutRecord, served: Deployment, servers: Container[tuple[str, str]]) -> bool:
    """True if a driver can continue the rollout, and roll it back, with what the router has."""
    champion, version = rollout.subject.champion, rollout.subject.version
    can_return = champion is None or (served.name, champion) in servers or rollout.state.phase == "promoting"
    return can_return and set(served.weights) <= {champion, version}


def _models(storage: Storage, unreadable: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows by (model, version)."""
    entries = {entry.path: entry for entry in storage.entries("models")}
    gone, rows = trash.marked(storage), {}
    for name, version in sorted(version_records.registered(entries.values()) - gone):
        prefix = f"models/{name}/{version}"
        try:
            model, created = _model(storage, entries, prefix)
        except (DataError, FileNotFoundError):
            unreadable.append(prefix)
            continue
        rows[name, version] = {"name": name, "version": version, "record": model.to_dict(), "created": created}
    return rows


def _model(storage: Storage, entries: dict[str, ObjectInfo], prefix: str) -> tuple[Model, float]:
    if f"{prefix}/{RECORD}" in entries:
        return storage.read_json(f"{prefix}/{RECORD}", lambda content: _kept(storage, content, prefix))
    # Registered by an earlier release, without metrics and lineage.
    manifest = storage.read_json(f"{prefix}/{MANIFEST}", Manifest.from_dict)
    model = Model(
        name=manifest.model,
        version=prefix.rpartition("/")[2],
        uri=storage.uri(prefix),
        digest=manifest.digest,
        run=manifest.run,
        dataset=manifest.dataset,
        as_of=manifest.as_of,
    )
    return model, manifest.created.timestamp()


def _kept(storage: Storage, content: Any, prefix: str) -> tuple[Model, float]:
    return Model.from_dict(_with_current_uris(storage, content["record"], prefix)), float(content["created"])


def _with_current_uris(storage: Storage, record: Any, prefix: str) -> Any:
    """The record with the store's current URIs: the store may be a copy."""
    root = str(record["uri"]).removesuffix(f"/{prefix}")
    return json.loads(json.dumps(record).replace(json.dumps(f"{root}/")[1:-1], json.dumps(f"{storage.root}/")[1:-1]))


def _verdicts(storage: Storage, unreadable: list[str]) -> list[history.Judged]:
    found = []
    for entry in storage.entries("runs"):
        if entry.path.rpartition("/")[2].startswith(history.JUDGED):
            try:
                found.append(storage.read_json(entry.path, history.Judged.from_dict))
            except (DataError, FileNotFoundError):
                unreadable.append(entry.path)
    return found
