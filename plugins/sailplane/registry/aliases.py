"""The aliases of a model's versions, and the order in which its versions served.

`champion` is the version that serves. `previous` is the version that a plain rollback returns to: the last one that
served before and was never rolled back. `challenger` is the last version that passed its evaluation and has not served
yet. A version that was rolled back is neither `previous` nor `challenger`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from sailplane.ledger.tables import aliases, models, rolled_back, served

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"


@dataclass(frozen=True)
class RolledBack:
    """Who took the version out of service, and when, in seconds since 1970."""

    since: float
    by: str

    def __str__(self) -> str:
        return f"rolled back on {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC by {self.by}"


def aliases_of(connection: sa.Connection, name: str) -> dict[str, str]:
    """The version of each alias."""
    rows = connection.execute(sa.select(aliases.c.alias, aliases.c.version).where(aliases.c.name == name))
    return {row.alias: row.version for row in rows}


def rolled_back_of(connection: sa.Connection, name: str) -> dict[str, RolledBack]:
    """The rollbacks of the model's versions, by version."""
    rows = connection.execute(sa.select(rolled_back).where(rolled_back.c.name == name))
    return {row.version: RolledBack(row.since, row.by) for row in rows}


def challenge(connection: sa.Connection, name: str, version: str) -> None:
    """Makes a version that passed its evaluation the challenger."""
    if aliases_of(connection, name).get(CHAMPION) != version and version not in rolled_back_of(connection, name):
        _point(connection, name, CHALLENGER, version)


def crown(connection: sa.Connection, name: str, version: str) -> None:
    """Makes the version the champion."""
    before = aliases_of(connection, name)
    if before.get(CHAMPION) != version:
        if CHAMPION in before:
            _serve(connection, name, before[CHAMPION], again=False)
        _point(connection, name, CHAMPION, version)
        _serve(connection, name, version, again=True)
        _point_previous(connection, name)
    if before.get(CHALLENGER) == version:
        _drop(connection, name, CHALLENGER)


def mark(connection: sa.Connection, name: str, version: str, by: str, now: float) -> None:
    """Records that the version was rolled back."""
    _unmark(connection, name, version)
    connection.execute(sa.insert(rolled_back).values(name=name, version=version, since=now, by=by))
    if aliases_of(connection, name).get(CHALLENGER) == version:
        _drop(connection, name, CHALLENGER)
    _point_previous(connection, name)


def unmark(connection: sa.Connection, name: str, version: str) -> bool:
    """Removes the mark, because a person wants the version to serve. False if it was not rolled back."""
    was = version in rolled_back_of(connection, name)
    _unmark(connection, name, version)
    _point_previous(connection, name)
    return was


def _unmark(connection: sa.Connection, name: str, version: str) -> None:
    this = sa.and_(rolled_back.c.name == name, rolled_back.c.version == version)
    connection.execute(sa.delete(rolled_back).where(this))


def _serve(connection: sa.Connection, name: str, version: str, *, again: bool) -> None:
    """Appends the version to those that served; if it is among them already, only with `again`."""
    numbers = _numbers(connection, name)
    if version in numbers and not again:
        return
    connection.execute(sa.delete(served).where(served.c.name == name, served.c.version == version))
    number = 1 + max(numbers.values(), default=0)
    connection.execute(sa.insert(served).values(name=name, version=version, number=number))


def _numbers(connection: sa.Connection, name: str) -> Mapping[str, int]:
    rows = connection.execute(sa.select(served.c.version, served.c.number).where(served.c.name == name))
    return {row.version: row.number for row in rows}


def _point_previous(connection: sa.Connection, name: str) -> None:
    champion, bad = aliases_of(connection, name).get(CHAMPION), rolled_back_of(connection, name)
    registered = set(connection.execute(sa.select(models.c.version).where(models.c.name == name)).scalars())
    numbers = _numbers(connection, name)
    left = [version for version in numbers if version in registered and version != champion and version not in bad]
    if left:
        _point(connection, name, PREVIOUS, max(left, key=lambda version: numbers[version]))
    else:
        _drop(connection, name, PREVIOUS)


def _point(connection: sa.Connection, name: str, alias: str, version: str) -> None:
    if aliases_of(connection, name).get(alias) == version:
        return
    _drop(connection, name, alias)
    connection.execute(sa.insert(aliases).values(name=name, alias=alias, version=version, changed=time.time()))


def _drop(connection: sa.Connection, name: str, alias: str) -> None:
    connection.execute(sa.delete(aliases).where(aliases.c.name == name, aliases.c.alias == alias))
