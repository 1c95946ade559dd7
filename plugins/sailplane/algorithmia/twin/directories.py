"""Directories and their readers. Each is a document in the store that records its existence, creation time and ACL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from sailplane.algorithmia.twin.documents import Document, Documents
from sailplane.algorithmia.twin.paths import DIRECTORIES, RECORD, RESERVED, TwinPath
from sailplane.errors import ConflictError, RequestError
from sailplane.storage.store import Storage

MY_ALGORITHMS: Final = ["algo://.my/*"]
PUBLIC: Final = ["user://*"]
PRIVATE: Final[list[str]] = []
# After this time the next deletion takes over an unfinished one.
_STALE: Final = timedelta(minutes=10)


def checked_acl(acl: object) -> list[str]:
    """The readers of `{"read": [...]}`. Raises RequestError."""
    read = acl.get("read") if isinstance(acl, dict) else None
    if read not in (PRIVATE, MY_ALGORITHMS, PUBLIC):
        expected = f'{{"read": ...}} with {PRIVATE} (private), {MY_ALGORITHMS} (my algorithms) or {PUBLIC} (public)'
        raise RequestError("read acl", got=repr(acl)[:100], expected=expected)
    return list(read)


class UserDirectories:
    """A user's root always exists, and only its owner can read it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._documents = Documents(storage)

    def find(self, path: TwinPath) -> Document | None:
        """None if it does not exist or is being deleted."""
        if not path.parts:
            return {"read": PRIVATE}
        if not RESERVED.isdisjoint(path.parts):
            return None
        found = self._documents.find(_document(path))
        return None if found is None or "deleting" in found else found

    def create(self, path: TwinPath, read: list[str] | None) -> None:
        """Without its own ACL a directory in a collection inherits its parent's. ConflictError if it exists,
        FileNotFoundError if its parent does not."""
        if path.parts[-1] in RESERVED:
            raise RequestError("create directory", path.uri, got="a name that is taken", expected="another one")
        self._check_parent(path)
        if read is None and len(path.parts) == 1:
            read = MY_ALGORITHMS
        if not self._documents.create(_document(path), {"created": _now().isoformat(), "read": read}):
            raise ConflictError("create directory", path.uri, got="it exists already, or is being deleted")
        try:
            # The parent may have been deleted meanwhile.
            self._check_parent(path)
        except FileNotFoundError:
            self._documents.delete(_document(path))
            raise

    def set_acl(self, path: TwinPath, read: list[str]) -> None:
        """Raises FileNotFoundError."""
        self._change(path, lambda found: {**found, "read": read})

    def readers(self, path: TwinPath) -> list[str] | None:
        """The ACL of the directory, or of its nearest ancestor with one; None without any."""
        while path.parts:
            found = self.find(path)
            if found and found["read"] is not None:
                return list(found["read"])
            path = path.parent
        return None

    def children(self, path: TwinPath, after: str = "") -> Iterator[str]:
        """The names of its subdirectories after `after`, in order. Those that are being deleted are included."""
        folder = _folder(path)
        names = self._storage.folder(folder).folders
        # Some stores keep an empty folder of a deleted directory.
        return (name for name in names if name > after and self._storage.exists(f"{folder}/{name}/{RECORD}"))

    def delete(self, path: TwinPath, check: Callable[[], None], clear: Callable[[], int]) -> int:
        """Blocks puts into the directory while `check` inspects it and `clear` deletes its files and returns their
        number. If `check` raises, the directory stays."""
        self._change(path, _marked)
        try:
            check()
        except BaseException:
            self._change(path, _unmarked)
            raise
        self._delete_below(path)
        removed = clear()
        self._documents.delete(_document(path))
        return removed

    def _delete_below(self, path: TwinPath) -> None:
        """Deletes subdirectories until there are none, because one may still be created concurrently."""
        folder = _folder(path)
        while below := [key for key in self._storage.list(folder) if key != _document(path)]:
            for key in below:
                self._documents.delete(key)

    def _change(self, path: TwinPath, how: Callable[[Document], Document]) -> None:
        if not RESERVED.isdisjoint(path.parts):
            raise FileNotFoundError(path.uri)
        try:
            self._documents.change(_document(path), how)
        except FileNotFoundError as error:
            raise FileNotFoundError(path.uri) from error

    def _check_parent(self, path: TwinPath) -> None:
        if self.find(path.parent) is None:
            raise FileNotFoundError(path.parent.uri)


def _folder(path: TwinPath) -> str:
    return "/".join((DIRECTORIES, path.owner, *path.parts))


def _document(path: TwinPath) -> str:
    return f"{_folder(path)}/{RECORD}"


def _marked(found: Document) -> Document:
    since = found.get("deleting")
    if since and _now() - datetime.fromisoformat(since) < _STALE:
        raise ConflictError("delete directory", got="another request is deleting it")
    return {**found, "deleting": _now().isoformat()}


def _unmarked(found: Document) -> Document:
    return {key: value for key, value in found.items() if key != "deleting"}


def _now() -> datetime:
    return datetime.now(UTC)
