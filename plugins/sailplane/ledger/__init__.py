"""The platform's own state: one SQL database, SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial, wraps
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from zlib import crc32

import sqlalchemy as sa

from sailplane.errors import ConfigurationError, ServiceError
from sailplane.files import no_room, room_for
from sailplane.home import Home
from sailplane.ledger.tables import metadata

P = ParamSpec("P")
T = TypeVar("T")
# How long a database server that goes away is waited for, and how often it is asked meanwhile.
AWAY_SECONDS: Final = 60.0
OPENING_SECONDS: Final = 10.0
# How long SQLite waits for another writer.
TURN_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.2
# What is said of a server that is killed, or starts.
COMES_BACK: Final = (
    *("Connection refused", "Connection reset", "closed the connection", "terminating connection"),
    *("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections"),
    # A server that dies while it is greeted.
    "during SSL exchange",
)
# PostgreSQL's transactions take turns by a lock of this number, as SQLite's do by their own.
TURN: Final = crc32(b"sailplane.ledger")


class Ledger:
    """`with Ledger(url).begin() as connection:` is one transaction, serialised with every other. StorageError, and
    nothing changed, where SQLite's disk is full; ServiceError where a server stays away, or no turn comes."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @classmethod
    def at(cls, home: Home) -> Ledger:
        return cls(home.ledger)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        with _told(self.engine.url):
            connection, transaction = self._begun()
            with connection, transaction:
                yield connection

    def _begun(self) -> tuple[sa.Connection, sa.RootTransaction]:
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            connection = None
            try:
                connection = self.engine.connect()
                return connection, connection.begin()
            except sa.exc.OperationalError as error:
                if connection:
                    connection.close()
                if self.engine.dialect.name == "sqlite":
                    raise
                if not _is_starting(error) or time.monotonic() > deadline:
                    raise _away(self.engine.url, error) from error
                time.sleep(POLL_SECONDS)


def persistent(work: Callable[P, T]) -> Callable[P, T]:
    """Does it again where the server went away in the middle of it; what it does must bear that."""

    @wraps(work)
    def done(*args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                return work(*args, **kwargs)
            except sa.exc.DBAPIError as error:
                # To begin once more is what waits, for a bounded time.
                if not error.connection_invalidated:
                    raise

    return done


@cache
def _engine(url: str) -> sa.Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        folder = Path(parsed.database).parent
        with room_for(folder):
            folder.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, **_options(parsed))
    # A connection never crosses a fork.
    os.register_at_fork(after_in_child=partial(engine.dispose, close=False))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    else:
        sa.event.listen(engine, "begin", _take_turn)
    _make_tables(engine)
    return engine


def _make_tables(engine: sa.Engine) -> None:
    deadline = time.monotonic() + OPENING_SECONDS
    while True:
        try:
            with _told(engine.url):
                return metadata.create_all(engine)
        except sa.exc.DatabaseError as error:
            if not _is_starting(error) or time.monotonic() > deadline:
                raise _away(engine.url, error) from error
            time.sleep(POLL_SECONDS)


def _is_starting(error: sa.exc.DatabaseError) -> bool:
    """Or was killed, and will start again: of a wrong name or password time changes nothing."""
    return error.connection_invalidated or any(words in str(error.orig) for words in COMES_BACK)


def _away(url: sa.URL, error: sa.exc.DBAPIError) -> ServiceError:
    return ServiceError(
        "open the ledger",
        url.render_as_string(hide_password=True),
        got=str(error.orig).strip().partition("\n")[0],
        remedy="Start that database, or set SAILPLANE_LEDGER to another one.",
    )


@contextmanager
def _told(url: sa.URL) -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        reason = getattr(error.orig, "sqlite_errorname", "")
        if reason.startswith("SQLITE_BUSY"):
            got = f"others have been writing for {TURN_SECONDS:g} s"
            raise ServiceError("use the ledger", url.database, got=got, remedy="A retry may mend it.") from error
        # Only a failed write is a full database to SQLite; a journal that cannot be opened or grow is an I/O error.
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
        # Connections are kept: the last one to close writes all of the log into the file. Waiting for another writer
        # beats failing.
        return {"connect_args": {"timeout": TURN_SECONDS}}
    return {"poolclass": sa.NullPool}


def _take_turn(connection: sa.Connection) -> None:
    # Serializable transactions would fail where they meet, and each would have to be done again.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")


def _configure_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that reads first cannot be upgraded while another one writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
