"""Backups of an SQLite ledger, in the folder ledger/ of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sailplane import pairing
from sailplane.errors import ConfigurationError, LedgerError, ServiceError
from sailplane.files import private_folder, room_for, temporary_folder
from sailplane.home import Home
from sailplane.ledger import Ledger, copies, schema
from sailplane.ledger.engines import engine_of, file_of, location_of
from sailplane.storage import Storage

FOLDER: Final = "ledger"
KEPT: Final = 7
NEWEST: Final = "newest"


def backup(home: Home) -> str:
    """Makes a verified backup, keeps the newest seven, and returns the new path in the store. ConfigurationError for
    PostgreSQL; LedgerError for a damaged ledger, which keeps all its backups."""
    storage = pairing.store(home)
    with temporary_folder() as scratch:
        whole = Path(scratch) / "ledger.db"
        copies.copy(ledger_file(home), whole)
        path = f"{FOLDER}/{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.db"
        storage.put(path, whole)
    for old in backups(storage)[:-KEPT]:
        storage.delete(old)
    return path


def backups(storage: Storage) -> list[str]:
    """The paths of the backups, the newest last."""
    return sorted(entry.path for entry in storage.folder(FOLDER).entries if entry.path.endswith(".db"))


def newest(home: Home) -> str | None:
    """The name of the newest backup; None if there is none. Raises StorageError for a store that cannot be reached,
    ConfigurationError for another one than the recorded one."""
    found = backups(pairing.recorded_store(home))
    return found[-1].rpartition("/")[2] if found else None


def restore(home: Home, which: str) -> tuple[str, Path | None]:
    """Restores `which`: a file, the name of a backup, or `newest`. Returns the backup and the path of the replaced
    file.

    ServiceError while services run. LedgerError for a damaged backup, or a backup of another store's ledger.
    ConfigurationError for another store than the recorded one.
    """
    refuse_while_running(home, "restore")
    file, storage = ledger_file(home), pairing.recorded_store(home)
    private_folder(home.root)
    new = file.with_name(f"{file.name}.new")
    try:
        with room_for(new):
            file.parent.mkdir(parents=True, exist_ok=True)
            name = _fetch(storage, which, new)
        copies.verify(new, name, remedy="Name another backup, or read the models back with `sailplane ledger rebuild`.")
        _migrate(new, name, storage, pairing.known_id(home, storage))
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    aside = copies.put_in_place(new, file)
    pairing.forget()
    return name, aside


def _migrate(new: Path, name: str, storage: Storage, known: str | None) -> None:
    """Migrates the restored file. LedgerError if its id is not `known`, because it then belongs to another store."""
    nameless = schema.revision(f"sqlite:///{new}") in schema.WITHOUT_ID
    found = Ledger.create(f"sqlite:///{new}")
    if known and nameless:
        found.take_id(known)
    its = found.id
    found.engine.dispose()
    if known and its != known:
        got = f"its id is {its}, but {storage.root} belongs to the ledger with the id {known}"
        raise LedgerError(name, "foreign", got=got)


@contextmanager
def reachable_store(home: Home) -> Iterator[None]:
    """Runs the embedded S3 for the duration if the store is in it and the services are down."""
    from sailplane.services.moving import embedded_s3
    from sailplane.supervisor import Supervisor

    if not home.has_s3 or Supervisor(home).running():
        yield
        return
    with embedded_s3(home):
        yield


def refuse_while_running(home: Home, doing: str) -> None:
    """ServiceError while services run: they would keep using the old file, which they have open."""
    from sailplane.supervisor import Supervisor

    if Supervisor(home).running():
        got, remedy = "services of this home are running", "Run `sailplane down` first, and `sailplane up` afterwards."
        raise ServiceError(doing, "the ledger", got=got, remedy=remedy)


def is_file(home: Home) -> bool:
    return file_of(engine_of(home.ledger)) is not None


def ledger_file(home: Home) -> Path:
    """The ledger's file. ConfigurationError for PostgreSQL, which has its own tools."""
    engine = engine_of(home.ledger)
    file = file_of(engine)
    if file is None:
        remedy = "Use pg_dump to back it up, and pg_restore to restore it."
        raise ConfigurationError("copy the ledger", location_of(engine.url), got="it is not a file", remedy=remedy)
    return file


def _fetch(storage: Storage, which: str, new: Path) -> str:
    new.unlink(missing_ok=True)
    if Path(which).is_file():
        copies.copy(Path(which), new)
        return which
    kept = backups(storage)
    path = kept[-1] if which == NEWEST and kept else f"{FOLDER}/{which}"
    try:
        with new.open("wb") as file:
            for piece in storage.stream(path):
                file.write(piece)
    except FileNotFoundError as error:
        new.unlink(missing_ok=True)
        names = ", ".join(path.rpartition("/")[2] for path in reversed(kept)) or "there is no backup"
        raise ConfigurationError("restore the ledger from", which, got="no such backup", expected=names) from error
    return storage.uri(path)
