"""The ledger and the store of a home: created by the first `up` or by `sailplane ledger init`, checked by each `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sailplane import pairing
from sailplane.errors import ConfigurationError, LedgerError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.copies import copy, verify
from sailplane.ledger.schema import REVISION, REVISIONS, revision
from sailplane.registry import version_records
from sailplane.services.backups import is_file, ledger_file, newest
from sailplane.storage import Storage
from sailplane.storage.roots import Root

# Gets a line for the user.
Tell = Callable[[str], object]
SILENT: Final[Tell] = lambda _: None  # noqa: E731


def require_ledger(home: Home, tell: Tell = SILENT) -> None:
    """Creates the ledger of a new installation, or migrates one of an earlier release. LedgerError if it is missing
    although there are models, damaged, or of a newer release."""
    if is_missing(home) and not is_new(home):
        # Raises LedgerError.
        Ledger.at(home)
    create(home, tell)


def lost(home: Home, tell: Tell = SILENT) -> LedgerError | None:
    """Returns why a missing or damaged ledger cannot be used, with its newest backup; None if it can be used. Raises
    LedgerError for a ledger of a newer release or of another store, which `up` refuses."""
    try:
        if not is_missing(home) and is_file(home):
            verify(ledger_file(home))
        require_ledger(home, tell)
    except LedgerError as error:
        if error.reason not in ("missing", "damaged"):
            raise
        remedy = (
            f"Is SAILPLANE_LEDGER right? After `sailplane down`: {_newest_backup(home)}; "
            "`sailplane ledger rebuild` reads the models back from the store; "
            "`sailplane ledger init` starts with an empty ledger."
        )
        return LedgerError(error.location, error.reason, got=error.got, remedy=remedy)
    return None


def _newest_backup(home: Home) -> str:
    try:
        last = newest(home)
    except (StorageError, ConfigurationError):
        return "`sailplane ledger restore` brings back the newest backup, once SAILPLANE_STORE can be read"
    return f"`sailplane ledger restore {last}` brings back the newest backup" if last else "there is no backup"


def create(home: Home, tell: Tell = SILENT) -> Ledger:
    """Creates a ledger, or migrates one of an earlier release after copying its file. A new ledger takes the store's
    id, which is the id of a lost ledger."""
    missing = is_missing(home)
    before = None if missing else _outdated(home)
    if before is not None:
        kept = _copy_before_upgrade(home)
        was = f"revision {before}" if before else "a release without revisions"
        tell(f"Migrating the ledger from {was} to revision {REVISION}. {kept}")
    ledger = Ledger.create(home.ledger)
    if missing and (known := _store_id(home)):
        ledger.take_id(known)
    return ledger


def _outdated(home: Home) -> str | None:
    """The revision of a ledger of an earlier release, from `schema.revision`; None for any other ledger."""
    found = revision(home.ledger)
    return found if found != REVISION and found in ("", *REVISIONS) else None


def _copy_before_upgrade(home: Home) -> str:
    """Returns a sentence about the copy for the user."""
    if not is_file(home):
        return "PostgreSQL is not copied; use pg_dump."
    file = ledger_file(home)
    kept = file.with_name(f"{file.name}.before-{REVISION}")
    copy(file, kept)
    return f"{kept} is a copy of the old ledger."


def pair(home: Home) -> None:
    """Compares ledger and store, and records the store, which `require_store` has checked, as the home's. For a store
    that only tasks can reach, the first task does this."""
    with left_to_tasks(home):
        version_records.complete(*pairing.opened(home, may_be_another=True))


@contextmanager
def left_to_tasks(home: Home) -> Iterator[None]:
    """Suppresses StorageError for a store that only tasks can reach, by an Airflow connection. Does not suppress it for
    a changed store: tasks refuse that until it was checked here."""
    try:
        yield
    except StorageError:
        if home.has_s3 or Root.parse(home.store).scheme == "file" or pairing.names_another_store(home):
            raise


def is_new(home: Home) -> bool:
    """Whether this home was never used: no pair, nothing served, no model in the store."""
    served = home.serving / "models"
    if (home.root / pairing.MEMORY).exists() or (served.is_dir() and any(served.iterdir())):
        return False
    try:
        return not pairing.holds_models(Storage(home.store))
    except StorageError:
        # The embedded S3 runs only after `up`; only tasks may reach other stores.
        return True


def is_missing(home: Home) -> bool:
    """Whether there is no ledger. LedgerError for a damaged one."""
    try:
        return revision(home.ledger) is None
    except LedgerError as error:
        if error.reason != "missing":
            raise
        return True


def _store_id(home: Home) -> str | None:
    try:
        return pairing.known_id(home, Storage(home.store))
    except StorageError:
        return None
