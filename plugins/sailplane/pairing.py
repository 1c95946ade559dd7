"""The ledger and the store of one installation: both have the same id, and nothing writes if their ids differ.

The store's id is in its object sailplane.json, the ledger's in its table `identity`; the home remembers both in
pair.json, for processes that reach only one of the two.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

import sqlalchemy as sa

from sailplane import __version__
from sailplane.errors import ConfigurationError, LedgerError
from sailplane.files import private_folder, replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import models
from sailplane.storage import Storage
from sailplane.storage.roots import Root
from sailplane.storage.store import IDENTITY

FORMAT: Final = 1
MEMORY: Final = "pair.json"
# The pairs (ledger, store) that this process found to match.
_matched: set[tuple[str, str]] = set()


def opened(home: Home, storage: Storage | None = None) -> tuple[Ledger, Storage]:
    """For code that writes to both. `storage` is the home's store if it is open already. LedgerError if they differ.

    Compared once in a process. A store without an id gets the ledger's, unless it holds models that the ledger does
    not know.
    """
    ledger, storage = _existing(home), storage or Storage(home.store)
    pair = (str(ledger.engine.url), storage.root)
    if pair not in _matched:
        found = store_id(storage) or _adopt(ledger, storage)
        if found != ledger.id:
            raise _mismatch(ledger, storage.root, found)
        remember(home, storage.root, found)
        _matched.add(pair)
    return ledger, storage


def ledger(home: Home) -> Ledger:
    """For code that writes only to the ledger: compared with the id that the home remembers, without the store."""
    found, known = _existing(home), _remembered(home)
    if known and known["store"] == Root.parse(home.store).uri and known["id"] != found.id:
        raise _mismatch(found, known["store"], known["id"])
    return found


def store(home: Home) -> Storage:
    """For code that writes only to the store."""
    return opened(home)[1]


def store_without_ledger(home: Home) -> Storage:
    """For a process that cannot reach the ledger: the store is compared with what the home remembers."""
    storage, known = Storage(home.store), _remembered(home)
    pair = ("", storage.root)
    if known and pair not in _matched:
        found = store_id(storage)
        if found != known["id"]:
            got = f"the store's id is {found or 'missing'}; this home belongs to {known['store']} with the id"
            raise LedgerError(storage.root, "foreign", got=f"{got} {known['id']}")
        _matched.add(pair)
    return storage


def store_id(storage: Storage) -> str | None:
    """None for a store that no ledger belongs to. ConfigurationError for one of a newer release."""
    try:
        content = json.loads(storage.get(IDENTITY))
        form, found, by = int(content["format"]), str(content["id"]), content.get("written_by")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        got = f"unreadable ({error})"
        remedy = "Restore that object, or delete it and run `sailplane up`."
        raise ConfigurationError("read the store's id", storage.uri(IDENTITY), got=got, remedy=remedy) from error
    if form > FORMAT:
        got, expected = f"format {form}, written by sailplane {by}", f"format {FORMAT}"
        remedy = "Install that version of sailplane, or a newer one."
        raise ConfigurationError("open the store", storage.root, got=got, expected=expected, remedy=remedy)
    return found


def write_id(storage: Storage, found: str) -> str:
    """Gives the store that id, unless it has one; the id that it has then."""
    about = {"format": FORMAT, "id": found, "created": time.time(), "written_by": __version__}
    storage.put_new(IDENTITY, json.dumps(about).encode())
    return store_id(storage) or found


def claim(ledger: Ledger, storage: Storage) -> str:
    """Gives the store the ledger's id, unless it has that already. LedgerError if it belongs to another ledger."""
    found = write_id(storage, ledger.id)
    if found != ledger.id:
        raise _mismatch(ledger, storage.root, found)
    return found


def holds_models(storage: Storage) -> bool:
    return bool(storage.folder("models").folders)


def remember(home: Home, root: str, found: str) -> None:
    pair = {"store": root, "id": found}
    if _remembered(home) != pair:
        replace_file(private_folder(home.root) / MEMORY, json.dumps(pair))


def forget() -> None:
    """Compare again: a ledger was made or restored in this process."""
    _matched.clear()


def _existing(home: Home) -> Ledger:
    try:
        return Ledger.at(home)
    except LedgerError as error:
        if error.reason != "missing" or (home.root / MEMORY).exists():
            raise
        remedy = "`sailplane up` makes it when it starts for the first time. Is SAILPLANE_LEDGER right?"
        raise LedgerError(error.place, "missing", got=error.got, remedy=remedy) from error


@persistent
def _adopt(ledger: Ledger, storage: Storage) -> str:
    names = set(storage.folder("models").folders)
    with ledger.begin() as connection:
        known = set(connection.execute(sa.select(models.c.name).distinct()).scalars())
    if names and not names & known:
        got = f"{storage.root} holds models that this ledger does not know: {', '.join(sorted(names)[:5])}"
        raise LedgerError(ledger.place, "foreign", got=got)
    return write_id(storage, ledger.id)


def _remembered(home: Home) -> dict[str, Any] | None:
    try:
        known = json.loads((home.root / MEMORY).read_text())
        return {"store": str(known["store"]), "id": str(known["id"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _mismatch(ledger: Ledger, root: str, found: str) -> LedgerError:
    got = f"its id is {ledger.id}, but {root} belongs to the ledger with the id {found}"
    return LedgerError(ledger.place, "foreign", got=got)
