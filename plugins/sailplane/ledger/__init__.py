"""The platform's own state: one SQL database, SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from tenacity import retry, retry_if_exception

from sailplane.files import room_for
from sailplane.home import Home
from sailplane.ledger import schema
from sailplane.ledger.engines import away, engine_of, explained, file_of, location_of, while_starting
from sailplane.ledger.relative import resolve_against
from sailplane.ledger.tables import identity
from sailplane.storage.roots import Root

# How long to wait for a database server that went away.
AWAY_SECONDS: Final = 60.0


def _lost_server(error: BaseException) -> bool:
    return isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated


#: Repeats the work if the server went away in the middle of it, so the work must be repeatable. Each attempt waits for
#: the server for a bounded time.
persistent: Final = retry(retry=retry_if_exception(_lost_server))


class Ledger:
    """`with Ledger(url).begin() as connection:` is one transaction, serialised with all others.

    Opens an existing ledger; `create` makes a new one. Raises LedgerError if the ledger is missing, damaged, or of
    another revision than this code; StorageError, with nothing changed, if SQLite's disk is full; ServiceError if a
    server stays unreachable or another transaction does not end.
    """

    def __init__(self, url: str) -> None:
        self.engine = engine_of(url)
        schema.require(self.engine)

    @classmethod
    def at(cls, home: Home) -> Ledger:
        """The ledger of a home. Its records get the URIs of the home's store."""
        ledger = cls(home.ledger)
        resolve_against(ledger.engine, Root.parse(home.store).uri)
        return ledger

    @classmethod
    def create(cls, url: str) -> Ledger:
        """Creates the tables, or upgrades those of an earlier release. Changes nothing in a current ledger."""
        engine = engine_of(url)
        if file := file_of(engine):
            _make_empty(file)
        schema.upgrade(engine)
        return cls(url)

    @property
    def location(self) -> str:
        """The file of an SQLite ledger, otherwise the URL without its password."""
        return location_of(self.engine.url)

    @cached_property
    @persistent
    def id(self) -> str:
        """The ledger's id, created with it; its store has the same id."""
        with self.begin() as connection:
            return str(connection.execute(sa.select(identity.c.id)).scalar_one())

    @persistent
    def take_id(self, found: str) -> None:
        """Gives a new ledger the id of a store that lost its ledger."""
        with self.begin() as connection:
            connection.execute(sa.update(identity).values(id=found))
        self.__dict__.pop("id", None)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One transaction. See the class for its errors."""
        schema.require(self.engine)
        with explained(self.engine.url):
            connection, transaction = self._start()
            with connection, transaction:
                yield connection

    def _start(self) -> tuple[sa.Connection, sa.RootTransaction]:
        try:
            return while_starting(AWAY_SECONDS)(self._start_once)
        except sa.exc.OperationalError as error:
            if self.engine.dialect.name == "sqlite":
                raise
            raise away(self.engine.url, error) from error

    def _start_once(self) -> tuple[sa.Connection, sa.RootTransaction]:
        connection = self.engine.connect()
        try:
            return connection, connection.begin()
        except BaseException:
            connection.close()
            raise


def _make_empty(file: Path) -> None:
    with room_for(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
