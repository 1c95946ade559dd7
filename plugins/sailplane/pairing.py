"""Checks that the ledger and the store belong together: both have the installation's id. Nothing is written if the ids
differ.

The store's id is in its object sailplane.json, the ledger's in its table `identity`. The home records both in
pair.json, for processes that can reach only one of the two.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sailplane import __version__
from sailplane.errors import ConfigurationError, LedgerError
from sailplane.files import private_folder, replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import models
from sailplane.storage import Storage
from sailplane.storage.roots import Root, canonical, is_absent
from sailplane.storage.store import EARLIER, IDENTITY

FORMAT: Final = 1
MEMORY: Final = "pair.json"


class UnreadableIdError(ConfigurationError):
    """The object with the store's id is damaged."""


# The pairs (ledger, store) that this process has checked.
_matched: set[tuple[str, str]] = set()


def opened(home: Home, storage: Storage | None = None, *, may_be_another: bool = False) -> tuple[Ledger, Storage]:
    """The ledger and the store, for code that writes to both. `storage` is the home's store if it is already open.
    Raises LedgerError if their ids differ, and ConfigurationError if the store is not the recorded one, unless
    `may_be_another`.

    Each process compares once. A store without an id gets the ledger's, unless it holds models and the ledger knows
    none of them.
    """
    ledger = _existing(home)
    if not may_be_another:
        # Checked before opening the store, which may create a folder.
        _require_remembered(home)
    storage = storage or Storage(home.store)
    pair = (str(ledger.engine.url), storage.root)
    if pair not in _matched:
        found = known_id(home, storage) or _adopt(ledger, storage)
        if found != ledger.id:
            raise _mismatch(ledger, storage.root, found)
        remember(home, storage, found)
        _matched.add(pair)
    return ledger, storage


def ledger(home: Home) -> Ledger:
    """The ledger, for code that writes only to it: compared with the recorded id, without the store."""
    found, known = _existing(home), remembered(home)
    if known and not names_another_store(home) and known["id"] != found.id:
        raise _mismatch(found, known["store"], known["id"])
    return found


def store(home: Home) -> Storage:
    """The store, for code that writes only to it."""
    return opened(home)[1]


def recorded_store(home: Home) -> Storage:
    """The store, without a ledger: the recorded one, or another with the recorded id, such as a copy. Raises
    ConfigurationError otherwise, before a folder is created."""
    known, root = remembered(home), Root.parse(home.store)
    if known and names_another_store(home) and (is_absent(root) or store_id(Storage(root.uri)) != known["id"]):
        _require_remembered(home)
    return Storage(home.store)


def store_without_ledger(home: Home) -> Storage:
    """The store, for a process that writes and cannot reach the ledger: compared with the recorded id."""
    known, storage = remembered(home), recorded_store(home)
    pair = ("", storage.root)
    if known and pair not in _matched:
        found = known_id(home, storage)
        if found != known["id"]:
            got = f"the store's id is {found or 'missing'}; this home belongs to {known['store']} with the id"
            raise LedgerError(storage.root, "foreign", got=f"{got} {known['id']}")
        _matched.add(pair)
    return storage


def store_id(storage: Storage) -> str | None:
    """The store's id; None if no ledger has claimed it. Raises ConfigurationError if a newer release wrote it,
    UnreadableIdError if the object is damaged."""
    try:
        content = json.loads(storage.get(IDENTITY))
        form, found, by = int(content["format"]), str(content["id"]), content.get("written_by")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        got = f"unreadable ({error})"
        remedy = "Restore that object, or delete it and run `sailplane up`."
        raise UnreadableIdError("read the store's id", storage.uri(IDENTITY), got=got, remedy=remedy) from error
    if form > FORMAT:
        got, expected = f"format {form}, written by sailplane {by}", f"format {FORMAT}"
        remedy = "Install that release of sailplane, or a newer one."
        raise ConfigurationError("open the store", storage.root, got=got, expected=expected, remedy=remedy)
    return found


def known_id(home: Home, storage: Storage) -> str | None:
    """The store's id; a damaged object is written again with the recorded id."""
    try:
        return store_id(storage)
    except UnreadableIdError:
        known = remembered(home)
        if known is None or canonical(known["store"]) != canonical(storage.root):
            raise
        storage.put(IDENTITY, _identity(known["id"], known[EARLIER]))
        return str(known["id"])


def write_id(storage: Storage, found: str) -> str:
    """Gives the store the id unless it has one. Returns its id."""
    storage.put_new(IDENTITY, _identity(found))
    return store_id(storage) or found


def _identity(found: str, earlier: Sequence[str] = ()) -> bytes:
    about = {"format": FORMAT, "id": found, "created": time.time(), "written_by": __version__}
    return json.dumps({**about, EARLIER: list(earlier)} if earlier else about).encode()


def claim(ledger: Ledger, storage: Storage) -> str:
    """Gives the store the ledger's id unless it has one. Raises LedgerError if it belongs to another ledger."""
    found = write_id(storage, ledger.id)
    if found != ledger.id:
        raise _mismatch(ledger, storage.root, found)
    return found


def holds_models(storage: Storage) -> bool:
    return bool(storage.folder("models").folders)


def remember(home: Home, storage: Storage, found: str) -> None:
    """Records the pair in the home. Also restores the earlier roots in the store's object if an old backup replaced
    it."""
    known, earlier = remembered(home), list(storage.earlier_roots())
    same = known is not None and known["id"] == found and canonical(known["store"]) == canonical(storage.root)
    lost = [root for root in known[EARLIER] if root not in earlier] if known and same else []
    if lost:
        storage.put(IDENTITY, _identity(found, [*earlier, *lost]))
    pair = {"store": storage.root, "id": found, EARLIER: [*earlier, *lost]}
    if known != pair:
        replace_file(private_folder(home.root) / MEMORY, json.dumps(pair))


def forget() -> None:
    """Makes this process compare again, after it created or restored a ledger."""
    _matched.clear()


def _existing(home: Home) -> Ledger:
    try:
        return Ledger.at(home)
    except LedgerError as error:
        if error.reason != "missing" or (home.root / MEMORY).exists():
            raise
        remedy = "`sailplane up` creates it when it first starts. Is SAILPLANE_LEDGER right?"
        raise LedgerError(error.location, "missing", got=error.got, remedy=remedy) from error


def _require_remembered(home: Home) -> None:
    """Raises ConfigurationError if the setting names another store than the recorded one."""
    known, root = remembered(home), Root.parse(home.store).uri
    if known and names_another_store(home):
        remedy = f"Set SAILPLANE_STORE={known['store']} again, or copy it with `sailplane store move URI`. "
        remedy += "If you have copied it already, run `sailplane up`, which checks the copy."
        raise ConfigurationError(
            "open the store",
            root,
            got="another store",
            expected=f"{known['store']}, the store until now",
            remedy=remedy,
        )


@persistent
def _adopt(ledger: Ledger, storage: Storage) -> str:
    there = {(name, version) for name in storage.folder("models").folders for version in _versions(storage, name)}
    with ledger.begin() as connection:
        known = {(row.name, row.version) for row in connection.execute(sa.select(models.c.name, models.c.version))}
    if there and not there & known:
        names = sorted({name for name, _ in there})
        got = f"{storage.root} holds models that this ledger does not know: {', '.join(names[:5])}"
        raise LedgerError(ledger.location, "foreign", got=got)
    return write_id(storage, ledger.id)


def _versions(storage: Storage, name: str) -> tuple[str, ...]:
    return tuple(storage.folder(f"models/{name}").folders)


def names_another_store(home: Home) -> bool:
    """Whether SAILPLANE_STORE names another store than the recorded one."""
    known = remembered(home)
    return known is not None and canonical(known["store"]) != canonical(home.store)


def remembered(home: Home) -> dict[str, Any] | None:
    try:
        known = json.loads((home.root / MEMORY).read_text())
        return {"store": str(known["store"]), "id": str(known["id"]), EARLIER: list(known.get(EARLIER, ()))}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _mismatch(ledger: Ledger, root: str, found: str) -> LedgerError:
    got = f"its id is {ledger.id}, but {root} belongs to the ledger with the id {found}"
    return LedgerError(ledger.location, "foreign", got=got)
