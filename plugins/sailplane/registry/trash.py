"""The trash: deleted objects stay at trash/<day>/<path> in the store for a week, and can be restored.

Before the garbage collector removes a model's version from the ledger, it writes
trash/forgotten/<model>/<version>.json. If it is killed then, its next run still knows that the version is garbage.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sailplane.bundles.manifest import MANIFEST, RECORD
from sailplane.errors import StorageError
from sailplane.storage import ObjectInfo, Storage

TRASH: Final = "trash"
FORGOTTEN: Final = f"{TRASH}/forgotten"
KEPT: Final = timedelta(days=7)


def copy(storage: Storage, path: str, today: date) -> str | None:
    """Copies the object to the trash. Returns the copy's path, or None if there is no such object. Raises StorageError
    if the copy differs."""
    target, digest = f"{TRASH}/{today:%Y-%m-%d}/{path}", hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for piece in storage.stream(path):
            digest.update(piece)
            yield piece

    try:
        storage.put(target, pieces())
    except FileNotFoundError:
        return None
    if storage.checksum(target) != digest.hexdigest():
        remedy = "Nothing was deleted. A retry may help."
        raise StorageError("move to the trash", storage.uri(path), got="the copy differs", remedy=remedy)
    return target


def expired(storage: Storage, now: float | None = None) -> list[ObjectInfo]:
    """The objects that have been in the trash for a week or longer."""
    last = datetime.fromtimestamp(time.time() if now is None else now, UTC).date() - KEPT
    old = [day for day in storage.folder(TRASH).folders if (found := _day(day)) and found <= last]
    return [entry for day in sorted(old) for entry in storage.entries(f"{TRASH}/{day}")]


def restore(storage: Storage, prefix: str) -> list[str]:
    """Restores the newest copies of objects at or under `prefix`, without replacing any, and returns their paths. If it
    is killed, no restored object names one that is missing."""
    found: dict[str, str] = {}
    for day in sorted(day for day in storage.folder(TRASH).folders if _day(day)):
        for entry in storage.entries(f"{TRASH}/{day}"):
            path = entry.path.removeprefix(f"{TRASH}/{day}/")
            if f"{path}/".startswith(f"{prefix.strip('/')}/"):
                found[path] = entry.path
    paths = sorted(found, key=_rank)
    return [path for path in paths if storage.put_new(path, storage.stream(found[path]))]


def _rank(path: str) -> tuple[int, str]:
    """The order of restoring: content comes before the objects that name it, which are markers and versions of
    datasets, a bundle's manifest and a model's record."""
    name = path.rpartition("/")[2]
    last = {MANIFEST: 2, RECORD: 3}
    return last.get(name, int(name.endswith(".json"))), path


def mark(storage: Storage, versions: Iterable[tuple[str, str]]) -> None:
    for name, version in versions:
        storage.put(_mark(name, version), b"{}")


def unmark(storage: Storage, name: str, version: str) -> None:
    storage.delete(_mark(name, version))


def marked(storage: Storage) -> set[tuple[str, str]]:
    """The marked versions as (model, version)."""
    paths = (entry.path.removeprefix(f"{FORGOTTEN}/").removesuffix(".json") for entry in storage.entries(FORGOTTEN))
    return {(name, version) for name, _, version in (path.partition("/") for path in paths)}


def unmark_gone(storage: Storage) -> None:
    """Removes the marks of versions that have no objects left."""
    for name, version in marked(storage):
        if next(iter(storage.entries(f"models/{name}/{version}")), None) is None:
            unmark(storage, name, version)


def _mark(name: str, version: str) -> str:
    return f"{FORGOTTEN}/{name}/{version}.json"


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
