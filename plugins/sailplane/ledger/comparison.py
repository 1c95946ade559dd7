"""Compares the tables of a ledger with those of this code."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sailplane.ledger.tables import metadata


def missing(connection: sa.Connection) -> list[str]:
    """Missing tables, columns and indexes, as `column trials.score`, `index trials_by_lease`, `table insights`."""
    return _names(_changes(connection))


def make_indexes(connection: sa.Connection) -> tuple[list[str], list[str]]:
    """Creates the missing indexes of tables that have all their columns. Returns the names of these indexes, and what
    is still missing, named as by `missing`."""
    changes = _changes(connection)
    absent, created = set(_names(changes)), []
    for change in changes:
        if change[0] == "add_index" and not any(name.endswith(f" {change[1].table.name}") for name in absent):
            columns = {f"column {change[1].table.name}.{column.name}" for column in change[1].columns}
            if not columns & absent:
                change[1].create(connection)
                created.append(str(change[1].name))
    return sorted(created), sorted(absent - {f"index {name}" for name in created})


_NAMES = {
    "add_table": lambda change: f"table {change[1].name}",
    "add_column": lambda change: f"column {change[2]}.{change[3].name}",
    "add_index": lambda change: f"index {change[1].name}",
    "add_constraint": lambda change: f"constraint {change[1].name}",
}


def _names(changes: list[tuple[Any, ...]]) -> list[str]:
    return sorted(_NAMES[change[0]](change) for change in changes if change[0] in _NAMES)


def _changes(connection: sa.Connection) -> list[tuple[Any, ...]]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    # Alembic gives a change of a column's type or nullability as a list.
    found = compare_metadata(MigrationContext.configure(connection), metadata)
    return [change for change in found if isinstance(change, tuple)]
