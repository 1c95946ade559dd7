"""The platform's own state: one SQL database, SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from sailplane.errors import ConfigurationError, ServiceError
from sailplane.files import no_room, room_for
from sailplane.home import Home
from sailplane.ledger.tables import metadata


class Ledger:
    """`with Ledger(url).begin() as connection:` is one transaction, serialised with every other writer. StorageError,
    and nothing changed, where SQLite's disk is full."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @classmethod
    def at(cls, home: Home) -> Ledger:
        return cls(home.ledger)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        with _room_for(self.engine.url), self.engine.begin() as connection:
            yield connection


@cache
def _engine(url: str) -> sa.Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        folder = Path(parsed.database).parent
        with room_for(folder):
            folder.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, **_options(parsed))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    try:
        with _room_for(parsed):
            metadata.create_all(engine)
    except sa.exc.DatabaseError as error:
        raise ServiceError(
            "open the ledger",
            parsed.render_as_string(hide_password=True),
            got=str(error.orig).strip().partition("\n")[0],
            remedy="Start that database, or set SAILPLANE_LEDGER to another one.",
        ) from error
    return engine


@contextmanager
def _room_for(url: sa.URL) -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        # Only a failed write is a full database to SQLite; a journal that cannot be opened or grow is an I/O error.
        reason = getattr(error.orig, "sqlite_errorname", "")
        if not url.database or not reason.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise
        raise no_room("use the ledger", url.database, disk=Path(url.database), got=str(error.orig)) from error


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError("read the ledger's URL", repr(url), got=error) from error
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg2"):
        shown = parsed.render_as_string(hide_password=True)
        raise ConfigurationError(
            "open the ledger", shown, got=f"database {parsed.drivername!r}", expected="sqlite or postgresql"
        )
    return parsed


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
