"""Connects to a ledger's database: SQLite or PostgreSQL, one transaction at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zlib import crc32

import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from sailplane.errors import ConfigurationError, LedgerError, ServiceError
from sailplane.files import no_room

# Seconds that SQLite waits for another writer.
TURN_SECONDS: Final = 30.0
# The pause before the next attempt to connect to a server that is starting.
POLL_SECONDS: Final = 0.2
# PostgreSQL's transactions take turns by a lock with this number; SQLite's take turns by the lock of its file.
TURN: Final = crc32(b"sailplane.ledger")
# Parts of the messages of a server that was killed or is starting.
COMES_BACK: Final = (
    *("Connection refused", "Connection reset", "closed the connection", "terminating connection"),
    *("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections"),
    # A server that dies during the handshake.
    "during SSL exchange",
)


@cache
def engine_of(url: str) -> sa.Engine:
    """The engine of a URL; it does not connect yet. Raises ConfigurationError for another kind of database."""
    parsed = _parsed(url)
    engine = sa.create_engine(parsed, **_options(parsed))
    # A connection must not cross a fork.
    os.register_at_fork(after_in_child=partial(engine.dispose, close=False))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "do_connect", _open_existing)
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    else:
        sa.event.listen(engine, "begin", _take_turn)
    return engine


def file_of(engine: sa.Engine) -> Path | None:
    """The file of an SQLite ledger; None for PostgreSQL and for SQLite in memory."""
    database = engine.url.database
    on_disk = engine.dialect.name == "sqlite" and database and database != ":memory:"
    return Path(str(database)) if on_disk else None


def is_starting(error: sa.exc.DBAPIError) -> bool:
    """Whether the server was killed or is starting. Waiting does not fix a wrong name or password."""
    return error.connection_invalidated or any(words in str(error.orig) for words in COMES_BACK)


def while_starting(seconds: float) -> Retrying:
    """Repeats a call while the server is starting, for at most `seconds`; raises the last error."""
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, sa.exc.DatabaseError) and is_starting(error)),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(POLL_SECONDS),
        reraise=True,
    )


def away(url: sa.URL, error: sa.exc.DBAPIError) -> ServiceError:
    """The error for a server that stays unreachable."""
    return ServiceError(
        "open the ledger",
        url.render_as_string(hide_password=True),
        got=str(error.orig).strip().partition("\n")[0],
        remedy="Start that database, or set SAILPLANE_LEDGER to another one.",
    )


def location_of(url: sa.URL) -> str:
    """The file of an SQLite ledger, or the URL without its password."""
    on_disk = url.get_backend_name() == "sqlite" and url.database
    return str(on_disk or url.render_as_string(hide_password=True))


@contextmanager
def explained(url: sa.URL) -> Iterator[None]:
    """Raises LedgerError for a damaged file, ServiceError for a lock that is not released, StorageError for a full
    disk."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        reason = getattr(error.orig, "sqlite_errorname", "")
        if reason.startswith("SQLITE_BUSY"):
            got = f"other processes have been writing for {TURN_SECONDS:g} s"
            raise ServiceError("use the ledger", url.database, got=got, remedy="Try again.") from error
        if reason.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise LedgerError(location_of(url), "damaged", got=f"the file is damaged ({error.orig})") from error
        if reason.startswith("SQLITE_CANTOPEN"):
            raise LedgerError(location_of(url), "missing", got=f"the file cannot be opened ({error.orig})") from error
        # SQLite reports a full disk only for a failed write. If a journal cannot be created or grow, it reports an I/O
        # error.
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
        # Keeps connections open: closing the last one writes the whole log into the file. Waits for another writer
        # instead of failing.
        return {"connect_args": {"timeout": TURN_SECONDS}}
    return {"poolclass": sa.NullPool}


def _open_existing(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Connects to an existing file. Without this, SQLite would create a missing file."""
    if arguments[0] == ":memory:":
        return None
    return sqlite3.connect(f"file:{quote(arguments[0])}?mode=rw", uri=True, **options)


def _take_turn(connection: sa.Connection) -> None:
    # Serializable transactions would fail on conflicts, and every caller would have to repeat them.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")


def _configure_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that reads first cannot start to write while another transaction writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
