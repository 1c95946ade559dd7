"""The platform's own state: one SQL database, SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from sailplane.home import Home
from sailplane.ledger.tables import metadata


class Ledger:
    """`with Ledger(url).begin() as connection:` is one transaction, serialised with every other writer."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @classmethod
    def at(cls, home: Home) -> Ledger:
        return cls(home.ledger)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        with self.engine.begin() as connection:
            yield connection


@cache
def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, **_options(parsed))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    metadata.create_all(engine)
    return engine


def _options(url: sa.URL) -> dict[str, object]:
    if url.get_backend_name() == "sqlite":
        # A connection never crosses a fork or a thread; waiting for another writer beats failing.
        return {"poolclass": sa.NullPool, "connect_args": {"timeout": 30}}
    return {"poolclass": sa.NullPool, "isolation_level": "SERIALIZABLE"}


def _configure_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that reads first cannot be upgraded while another one writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
