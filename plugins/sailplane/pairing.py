"""The ledger and the store of one installation: both have the same id, and nothing writes if their ids differ.

The store's id is in its object sailplane.json, the ledger's in its table `identity`; the home remembers both in
pair.json, for processes that reach only one of the two.
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
from sailplane.storage.roots import Root, place
from sailplane.storage.store import EARLIER, IDENTITY

FORMAT: Final = 1
MEMORY: Final = "pair.json"


class UnreadableIdError(ConfigurationError):
    """The object with the store's id is damaged."""


# The pairs (ledger, store) that this process found to match.
_matched: set[tuple[str, str]] = set()


def opened(home: Home, storage: Storage | None = None, *, may_be_another: bool = False) -> tuple[Ledger, Storage]:
    """For code that writes to both. `storage` is the home's store if it is open already. LedgerError if they differ.
    ConfigurationError for another store than the one that the home remembers, unless it `may_be_another`.

    Compared once in a process. A store without an id gets the ledger's, unless it holds models, none of which the
    ledger knows.
    """
    ledger = _existing(home)
    if not may_be_another:
        # Before it is opened, which makes a folder.
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
    """For code that writes only to the ledger: compared with the id that the home remembers, without the store."""
    found, known = _existing(home), remembered(home)
    if known and not names_another_store(home) and known["id"] != found.id:
        raise _mismatch(found, known["store"], known["id"])
    return found


def store(home: Home) -> Storage:
    """For code that writes only to the store."""
    return opened(home)[1]


def store_without_ledger(home: Home) -> Storage:
    """For a process that cannot reach the ledger: the store is compared with what the home remembers."""
    known, storage = remembered(home), Storage(home.store)
    pair = ("", storage.root)
    if known and pair not in _matched:
        found = known_id(home, storage)
        if found != known["id"]:
            got = f"the store's id is {found or 'missing'}; this home belongs to {known['store']} with the id"
            raise LedgerError(storage.root, "foreign", got=f"{got} {known['id']}")
        _matched.add(pair)
    return storage


def store_id(storage: Storage) -> str | None:
    """None for a store that no ledger belongs to. ConfigurationError for one of a newer release, UnreadableIdError for
    a damaged object."""
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
        remedy = "Install that version of sailplane, or a newer one."
        raise ConfigurationError("open the store", storage.root, got=got, expected=expected, remedy=remedy)
    return found


def known_id(home: Home, storage: Storage) -> str | None:
    """`store_id`; a damaged object is written again as the home remembers it."""
    try:
        return store_id(storage)
    except UnreadableIdError:
        known = remembered(home)
        if known is None or place(known["store"]) != place(storage.root):
            raise
        storage.put(IDENTITY, _identity(known["id"], known[EARLIER]))
        return str(known["id"])


def write_id(storage: Storage, found: str) -> str:
    """Gives the store that id, unless it has one; the id that it has then."""
    storage.put_new(IDENTITY, _identity(found))
    return store_id(storage) or found


def _identity(found: str, earlier: Sequence[str] = ()) -> bytes:
    about = {"format": FORMAT, "id": found, "created": time.time(), "written_by": __version__}
    return json.dumps({**about, EARLIER: list(earlier)} if earlier else about).encode()


def claim(ledger: Ledger, storage: Storage) -> str:
    """Gives the store the ledger's id, unless it has that already. LedgerError if it belongs to another ledger."""
    found = write_id(storage, ledger.id)
    if found != ledger.id:
        raise _mismatch(ledger, storage.root, found)
    return found


def holds_models(storage: Storage) -> bool:
    return bool(storage.folder("models").folders)


def remember(home: Home, storage: Storage, found: str) -> None:
    """Also writes the earlier roots into the store's object again, if a backup from before a move replaced it."""
    known, earlier = remembered(home), list(storage.earlier_roots())
    same = known is not None and known["id"] == found and place(known["store"]) == place(storage.root)
    lost = [root for root in known[EARLIER] if root not in earlier] if known and same else []
    if lost:
        storage.put(IDENTITY, _identity(found, [*earlier, *lost]))
    pair = {"store": storage.root, "id": found, EARLIER: [*earlier, *lost]}
    if known != pair:
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
        raise LedgerError(error.location, "missing", got=error.got, remedy=remedy) from error


def _require_remembered(home: Home) -> None:
    """ConfigurationError if the home remembers another store than the one that is set now."""
    known, root = remembered(home), Root.parse(home.store).uri
    if known and names_another_store(home):
        remedy = f"Set SAILPLANE_STORE={known['store']} again, or copy it with `sailplane store move URI`. "
        remedy += "For a copy that is there already, run `sailplane up`, which checks it."
        raise ConfigurationError(
            "open the store", root, got="another one", expected=f"{known['store']}, the store until now", remedy=remedy
        )


@persistent
def _adopt(ledger: Ledger, storage: Storage) -> str:
    there = {(name, version) for name in storage.folder("models").folders for version in _versions(storage, name)}
    with ledger.begin() as connection:
        known = {(row.name, row.version) for row in connection.execute(sa.select(models.c.name, models.c.version))}
    if there and not there & known:
        names = sorted({name for name, _ in there})
        got = f"{storage.root} holds models that this ledger does not know: {', '.join(names[:5])}"
        raise LedgerError(ledger.place, "foreign", got=got)
    return write_id(storage, ledger.id)


def _versions(storage: Storage, name: str) -> tuple[str, ...]:
    return tuple(storage.folder(f"models/{name}").folders)


def names_another_store(home: Home) -> bool:
    """Whether SAILPLANE_STORE is another place than the one that the home remembers."""
    known = remembered(home)
    return known is not None and place(known["store"]) != place(home.store)


def remembered(home: Home) -> dict[str, Any] | None:
    try:
        known = json.loads((home.root / MEMORY).read_text())
        return {"store": str(known["store"]), "id": str(known["id"]), EARLIER: list(known.get(EARLIER, ()))}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _mismatch(ledger: Ledger, root: str, found: str) -> LedgerError:
    got = f"its id is {ledger.id}, but {root} belongs to the ledger with the id {found}"
    return LedgerError(ledger.place, "foreign", got=got)
