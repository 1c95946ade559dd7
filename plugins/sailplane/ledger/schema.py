"""The revision of a ledger's tables: checked when the ledger is opened, updated by `upgrade`.

Alembic's migrations are in migrations/versions/. The current revision is in a table of our own, so that a database may
also hold another Alembic project, such as Airflow.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sailplane import __version__
from sailplane.errors import LedgerError
from sailplane.ledger.comparison import make_indexes, missing
from sailplane.ledger.engines import away, engine_of, explained, file_of, location_of, while_starting
from sailplane.ledger.tables import identity

# All revisions in migrations/versions/, oldest first.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
REVISION: Final = REVISIONS[-1]
# Revisions before ledgers had an id.
WITHOUT_ID: Final = ("", "0001")
VERSION_TABLE: Final = "ledger_revision"
OPENING_SECONDS: Final = 10.0
_version: Final = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
# The engines whose ledger was checked, with the file (device, inode) that it had then.
_good: dict[sa.Engine, tuple[int, int] | None] = {}


def require(engine: sa.Engine) -> None:
    """Raises LedgerError unless the ledger has this code's revision. The revision is read once. Later calls only check
    that an SQLite file is still the same, because writes to a deleted file would be lost."""
    file = _file(engine)
    if engine in _good:
        if _good[engine] == file:
            return
        engine.dispose()
    found = _revision(engine)
    if found != REVISION:
        raise _refusal(engine, found)
    _good[engine] = file


def upgrade(engine: sa.Engine) -> None:
    """Creates or migrates the tables and creates missing indexes, in one transaction. Raises LedgerError for a ledger
    of a newer release, or one that lacks a column."""
    found = _revision(engine)
    if found and found not in REVISIONS:
        raise _refusal(engine, found)
    with explained(engine.url), engine.begin() as connection:
        _migrate(engine, connection)
        # A new ledger has all that its migrations have just made.
        if found is not None and (lost := make_indexes(connection)[1]):
            raise _damage(engine, lost)
        if found != REVISION:
            connection.execute(sa.update(identity).values(written_by=__version__))


def _migrate(engine: sa.Engine, connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "sailplane.ledger:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, REVISION)
    except sa.exc.DBAPIError as error:
        # The migration needs a table or column that is missing.
        if lost := missing(connection):
            raise _damage(engine, lost) from error
        raise


def revision(url: str) -> str | None:
    """The revision of the ledger at this URL; "" if a release before revisions wrote it, None if it has no tables.
    Raises LedgerError if it is missing or damaged."""
    return _revision(engine_of(url))


def _damage(engine: sa.Engine, lost: list[str]) -> LedgerError:
    return LedgerError(location_of(engine.url), "damaged", got=f"{', '.join(lost)} missing")


def _file(engine: sa.Engine) -> tuple[int, int] | None:
    path = file_of(engine)
    if path is None:
        return None
    try:
        about = path.stat()
    except FileNotFoundError as error:
        raise LedgerError(location_of(engine.url), "missing", got="there is no such file") from error
    except OSError as error:
        raise LedgerError(location_of(engine.url), "missing", got=error.strerror) from error
    return about.st_dev, about.st_ino


def _revision(engine: sa.Engine) -> str | None:
    _file(engine)
    try:
        return while_starting(OPENING_SECONDS)(_looked_up, engine)
    except sa.exc.DatabaseError as error:
        raise away(engine.url, error) from error


def _looked_up(engine: sa.Engine) -> str | None:
    with explained(engine.url), engine.begin() as connection:
        return _read(connection)


def _read(connection: sa.Connection) -> str | None:
    tables = sa.inspect(connection)
    if tables.has_table(VERSION_TABLE):
        # There is no row if an upgrade to the first revision did not finish.
        return str(connection.execute(sa.select(_version.c.version_num)).scalar() or "")
    return "" if tables.has_table("models") and tables.has_table("trials") else None


def _refusal(engine: sa.Engine, found: str | None) -> LedgerError:
    if found is None:
        return LedgerError(location_of(engine.url), "missing", got="the database holds no ledger")
    if found and found not in REVISIONS:
        got = f"revision {found}, written by sailplane {_writer(engine)}"
        return LedgerError(location_of(engine.url), "newer", got=got, expected=f"revision {REVISION} or older")
    got = f"revision {found}" if found else "the tables of a release without revisions"
    return LedgerError(location_of(engine.url), "older", got=got, expected=f"revision {REVISION}")


def _writer(engine: sa.Engine) -> str:
    with explained(engine.url), engine.begin() as connection:
        return str(connection.execute(sa.select(identity.c.written_by)).scalar())
