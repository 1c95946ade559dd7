"""Copies an SQLite ledger's file while it is in use, verifies it, and replaces a ledger with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sailplane.errors import LedgerError
from sailplane.files import no_room

# SQLite's files beside a database that is open or was not closed properly.
BESIDE: Final = ("-wal", "-shm")


def copy(source: Path, target: Path) -> None:
    """Copies one consistent state with SQLite's online backup, without blocking writers. Raises LedgerError for a
    damaged source, StorageError if there is no room."""
    target.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
    except sqlite3.DatabaseError as error:
        reason = getattr(error, "sqlite_errorname", "")
        if reason.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise no_room("back up the ledger", source, disk=target, got=str(error)) from error
        raise LedgerError(str(source), "damaged", got=f"the file cannot be copied ({error})") from error
    verify(target, source)


def verify(file: Path, shown_as: object = None, remedy: str = "") -> None:
    """Raises LedgerError unless the file is an undamaged ledger. The error names `shown_as`, by default the
    file, and has `remedy`, by default the remedy for a lost ledger."""
    name = str(shown_as or file)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise LedgerError(name, "damaged", got=f"the file is damaged ({error})", remedy=remedy) from error
    if found != ["ok"]:
        raise LedgerError(name, "damaged", got=f"the file is damaged ({'; '.join(found)})", remedy=remedy)
    if not {"models", "trials"} <= tables:
        raise LedgerError(name, "damaged", got="the file is not a ledger", remedy=remedy)


def put_in_place(new: Path, file: Path) -> Path | None:
    """Renames `new` to `file`, and keeps the old file beside it under the returned name. If killed in between, `file`
    is missing or new, and a second call continues."""
    aside = file.with_name(f"{file.name}.replaced-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}")
    exists = file.exists()
    for suffix in ("", *BESIDE):
        part = file.with_name(f"{file.name}{suffix}")
        if part.exists():
            part.rename(aside.with_name(f"{aside.name}{suffix}"))
    new.rename(file)
    return aside if exists else None
