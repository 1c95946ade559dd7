"""Rewrites records of releases that stored absolute URIs of the store."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from sailplane.ledger.relative import StoreRecord, replaced
from sailplane.ledger.tables import metadata
from sailplane.storage.roots import RELATIVE


def make_relative(connection: sa.Connection, root: str) -> int:
    """Makes the URIs of the store at `root` relative, in all tables. Returns how many records changed."""
    changed = 0
    for table in metadata.sorted_tables:
        for column in [column for column in table.columns if isinstance(column.type, StoreRecord)]:
            changed += _make_relative(connection, table, column, root)
    return changed


def _make_relative(connection: sa.Connection, table: sa.Table, column: sa.Column[Any], root: str) -> int:
    keys = list(table.primary_key)
    written = sa.cast(column, sa.Text).contains(json.dumps(f"{root}/")[1:-1], autoescape=True)
    rows = connection.execute(sa.select(sa.type_coerce(column, sa.JSON).label("value"), *keys).where(written)).all()
    for value, *key in rows:
        this = sa.and_(*(key_column == part for key_column, part in zip(keys, key, strict=True)))
        new = sa.type_coerce(sa.literal(replaced(value, root, RELATIVE), sa.JSON), sa.JSON)
        connection.execute(sa.update(table).where(this).values({column: new}))
    return len(rows)
