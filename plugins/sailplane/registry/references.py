"""The objects of the store that the ledger or a running process references."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from sailplane.ledger.tables import (
    aliases,
    metadata,
    models,
    pins,
    rollouts,
    stops,
    sweep_jobs,
    sweeps,
    trials,
)
from sailplane.registry.aliases import CHAMPION
from sailplane.registry.lineage import code_path, environment_path
from sailplane.sweeps.space import SweepConfig

# The platform's own folders. Objects elsewhere in the store belong to others.
FOLDERS: Final = ("runs", "models", "code", "environments", "datasets")
_FOLDER_STARTS: Final = re.compile(rf"/(?=(?:{'|'.join(FOLDERS)})/)")
Key = tuple[str, str]


@dataclass(frozen=True)
class References:
    """`folders` end in a /; `versions` are those of datasets whose names are not recorded."""

    paths: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)

    def hold(self, path: str) -> bool:
        above = (path[: end + 1] for end, sign in enumerate(path) if sign == "/")
        return path in self.paths or any(folder in self.folders for folder in above)

    def add(self, record: object) -> None:
        """Adds everything that a record names at any depth: runs by id, digests, and URIs of this store or another."""
        if isinstance(record, Mapping):
            self._add_named(record)
            for value in record.values():
                self.add(value)
        elif isinstance(record, (list, tuple)):
            for value in record:
                self.add(value)
        elif isinstance(record, str) and "://" in record:
            for start in _FOLDER_STARTS.finditer(record):
                self._add_path(record[start.end() :])

    def _add_named(self, record: Mapping[Any, Any]) -> None:
        texts = {key: value for key, value in record.items() if isinstance(value, str) and value}
        if "bundle" in texts and "id" in texts:
            self.folders.add(f"runs/{texts['id']}/")
        if "run" in texts:
            self.folders.add(f"runs/{texts['run']}/")
        if "code" in texts:
            self.paths.add(code_path(texts["code"]))
        if "environment" in texts:
            self.paths.add(environment_path(texts["environment"]))
        if "dataset" in texts:
            self.versions.add(texts["dataset"])

    def _add_path(self, path: str) -> None:
        self.paths.add(path)
        self.folders.add(f"{path.rstrip('/')}/")


def read(
    connection: sa.Connection, live: Iterable[Mapping[str, Any]], *, since: float, without: Iterable[Key] = ()
) -> References:
    """The references as of this transaction: registered versions except `without`, with their lineage; evaluated runs;
    the code of runs, and the trials of sweeps, that were active after `since`; and running processes."""
    found, left_out = References(), set(without)
    for row in connection.execute(sa.select(models.c.name, models.c.version, models.c.record)):
        if (row.name, row.version) not in left_out:
            found.folders.add(f"models/{row.name}/{row.version}/")
            found.add(row.record)
    for record in _records(connection, "deployments", "cluster_deployments", "evaluations"):
        found.add(record)
    for digest in connection.execute(sa.select(pins.c.digest).where(pins.c.created >= since)).scalars():
        found.paths.add(code_path(digest))
    for sweep in at_work(connection, since):
        found.folders.add(f"runs/{sweep}/")
        for record in connection.execute(sa.select(trials.c.run).where(trials.c.sweep == sweep)).scalars():
            found.add(record)
        for record in connection.execute(sa.select(sweep_jobs.c.spec).where(sweep_jobs.c.sweep == sweep)).scalars():
            found.add(record)
    for specification in live:
        found.add(specification)
        if specification.get("sweep"):
            found.folders.add(f"runs/{specification['sweep']}/")
    return found


def unused_versions(connection: sa.Connection, root: str, *, keep: int, since: float) -> list[Key]:
    """Versions in the store at `root` that are not among the newest `keep` of their model, were registered before
    `since`, carry no alias, and are not part of a deployment or an active rollout.

    All versions of a model without a champion count as used: after a rebuild of the ledger, any of them may serve
    elsewhere.
    """
    named = connection.execute(sa.select(aliases)).all()
    used = {(row.name, row.version) for row in named}
    with_champion = {row.name for row in named if row.alias == CHAMPION}
    for record in _records(connection, "deployments", "cluster_deployments"):
        used |= {(record["name"], version) for version in (record["version"], *record["weights"])}
    active = rollouts.c.phase.not_in(("succeeded", "failed"))
    used |= {(row.name, row.version) for row in connection.execute(sa.select(rollouts).where(active))}
    query = sa.select(models).order_by(models.c.created.desc(), models.c.version)
    newer: dict[str, int] = {}
    unused = []
    for row in connection.execute(query):
        newer[row.name] = newer.get(row.name, 0) + 1
        here = row.record["uri"].startswith(f"{root}/")
        old = newer[row.name] > keep and row.created < since
        if here and old and row.name in with_champion and (row.name, row.version) not in used:
            unused.append((row.name, row.version))
    return sorted(unused)


def _records(connection: sa.Connection, *tables: str) -> Iterator[Any]:
    for name in tables:
        if (table := metadata.tables.get(name)) is not None:
            yield from connection.execute(sa.select(table.c.record)).scalars()


def at_work(connection: sa.Connection, since: float) -> list[str]:
    """The sweeps that are not over, or were active after `since`. A sweep is over when all of its trials have ended,
    its time is up, or it was stopped. An abandoned sweep is not over until `sailplane sweep stop` ends it."""
    stopped: dict[str, float] = {row.sweep: row.time for row in connection.execute(sa.select(stops))}
    working = []
    for row in connection.execute(sa.select(sweeps.c.id, sweeps.c.config, sweeps.c.created)).all():
        given = connection.execute(
            sa.select(trials.c.state, trials.c.lease_until).where(trials.c.sweep == row.id)
        ).all()
        last = max([row.created, stopped.get(row.id, 0.0), *(trial.lease_until for trial in given)])
        config = SweepConfig.from_dict(row.config)
        up = config.max_time is not None and time.time() > row.created + config.max_time
        over = up or row.id in stopped or len(given) == config.size
        if last >= since or not over or any(trial.state == "running" for trial in given):
            working.append(row.id)
    return working
