"""Files in directories, and the pages of a directory's listing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from itertools import chain, islice
from typing import Any, Final

from sailplane.algorithmia.twin.directories import PUBLIC, UserDirectories
from sailplane.algorithmia.twin.paths import TwinPath
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.errors import ConflictError, RequestError
from sailplane.storage.backend import ObjectInfo
from sailplane.storage.store import Storage

PAGE_ITEMS: Final = 1000
_MOST_OPENINGS: Final = 5
# Position of the files in a directory's listing.
_FILES: Final = (1, "")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The condition of a put: only if the file does not exist, or only over the version with this etag."""

    new: bool = False
    etag: str | None = None


class UserFiles:
    """The operations allowed to `caller`: all in their own directories, and reading in the public ones of others."""

    def __init__(self, storage: Storage, directories: UserDirectories) -> None:
        self._storage = storage
        self._directories = directories

    def check_readable(self, path: TwinPath, caller: str) -> None:
        """Checks a directory, or a file's directory. The refusal does not reveal whether it exists."""
        if path.owner != caller and self._directories.readers(path) != PUBLIC:
            raise Refusal(403, f"read {path.uri}: {caller} is not authorized. Its owner can make the directory public.")

    def check_owned(self, path: TwinPath, caller: str) -> None:
        if path.owner != caller:
            raise Refusal(403, f"change {path.uri}: {caller} is not authorized. Only {path.owner} may do that.")

    def head(self, path: TwinPath) -> ObjectInfo:
        """Raises FileNotFoundError."""
        self._check_file(path)
        with _named(path):
            return self._storage.head(path.key)

    def get(self, path: TwinPath) -> bytes:
        with _named(path):
            return self._storage.get(path.key)

    def opened(self, path: TwinPath) -> tuple[ObjectInfo, Iterator[bytes]]:
        """One version's content and entry. ConflictError if it keeps being replaced."""
        for _ in range(_MOST_OPENINGS):
            entry = self.head(path)
            with _named(path):
                pieces = self._storage.stream(path.key)
                first = next(pieces, b"")
            if self.head(path).etag == entry.etag:
                return entry, chain([first], pieces)
        raise ConflictError("get", path.uri, got="it keeps being replaced")

    def put(self, path: TwinPath, pieces: Iterator[bytes], condition: Condition) -> str:
        """Returns the new etag. Raises FileNotFoundError for a missing directory, ConflictError if the condition fails;
        then the file stays unchanged."""
        self._check_file(path)
        self._check_parent(path)
        etag = self._put(path, pieces, condition)
        try:
            # The directory may have been deleted before this file arrived.
            self._check_parent(path)
        except (FileNotFoundError, RequestError):
            self._storage.delete(path.key)
            raise
        return etag

    def delete(self, path: TwinPath) -> None:
        self.head(path)
        self._storage.delete(path.key)

    def create_directory(self, path: TwinPath, read: list[str] | None) -> None:
        if len(path.parts) > 1 and self._storage.exists(path.key):
            raise ConflictError("create directory", path.uri, got="a file has this name")
        self._directories.create(path, read)

    def delete_directory(self, path: TwinPath, *, force: bool) -> int:
        """Returns the number of deleted files. Without `force` only an empty directory is deleted."""
        return self._directories.delete(
            path, lambda: None if force else self._check_empty(path), lambda: self._clear(path)
        )

    def page(self, path: TwinPath, marker: str) -> dict[str, Any]:
        """Directories first, then files, by name, starting after the marker."""
        after = _position(marker)
        found = list(islice(self._items(path, after), PAGE_ITEMS + 1))
        shown = found[:PAGE_ITEMS]
        page: dict[str, Any] = {}
        if folders := [{"name": name} for kind, name, _ in shown if kind == 0]:
            page["folders"] = folders
        if files := [_file(name, entry) for _, name, entry in shown if entry]:
            page["files"] = files
        if len(found) > PAGE_ITEMS:
            page["marker"] = _marker(*shown[-1][:2])
        return page

    def _items(self, path: TwinPath, after: tuple[int, str]) -> Iterator[tuple[int, str, ObjectInfo | None]]:
        """Yields the items in order."""
        if after < _FILES:
            yield from ((0, name, None) for name in self._directories.children(path, after[1]))
        for entry in self._storage.folder(path.files).entries if path.parts else ():
            name = entry.path.removeprefix(f"{path.files}/")
            if (1, name) > after:
                yield 1, name, entry

    def _put(self, path: TwinPath, pieces: Iterator[bytes], condition: Condition) -> str:
        if condition.new:
            if not self._storage.put_new(path.key, pieces):
                raise Refusal(412, f"put {path.uri}: the file exists.")
            return self._storage.head(path.key).etag
        if condition.etag is None:
            return self._storage.put(path.key, pieces)
        try:
            known = self.head(path).etag
            if bare(known) != bare(condition.etag):
                raise ConflictError("put", path.uri, got="another version now")
            return self._storage.replace(path.key, pieces, known)
        except (FileNotFoundError, ConflictError) as error:
            raise Refusal(412, f"put {path.uri}: its version differs from If-Match, or it is gone.") from error

    def _check_file(self, path: TwinPath) -> None:
        if len(path.parts) < 2:
            got = "a collection" if path.parts else "a user"
            raise RequestError("use", path.uri, got=f"{got}, not a file", expected="data://user/collection/file")

    def _check_parent(self, path: TwinPath) -> None:
        """Also checks that no directory has the file's name."""
        if self._directories.find(path.parent) is None:
            raise FileNotFoundError(path.parent.uri)
        if self._directories.find(path) is not None:
            raise RequestError("put", path.uri, status=409, got="a directory has this name")

    def _check_empty(self, path: TwinPath) -> None:
        if any(True for _ in self._items(path, _position(""))):
            remedy = "Delete its content, or delete it with force=true."
            raise RequestError("delete directory", path.uri, got="it is not empty", remedy=remedy)

    def _clear(self, path: TwinPath) -> int:
        keys = [entry.path for entry in self._storage.entries(path.folder)]
        for key in keys:
            self._storage.delete(key)
        return len(keys)


def bare(etag: str) -> str:
    """The etag as stores write it, with or without quotation marks."""
    return etag.removeprefix("W/").strip('"')


@contextmanager
def _named(path: TwinPath) -> Iterator[None]:
    """Names a missing file as the caller knows it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(path.uri) from error


def root_page(caller: str) -> dict[str, Any]:
    """The users that a caller can see: only themselves."""
    return {"folders": [{"name": caller}]}


def _file(name: str, entry: ObjectInfo) -> dict[str, Any]:
    modified = entry.modified.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # The etag is not part of Algorithmia's API, as in the headers of a file.
    return {"filename": name, "size": entry.size, "last_modified": modified, "etag": f'"{bare(entry.etag)}"'}


def _marker(kind: int, name: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}{name}".encode()).decode()


def _position(marker: str) -> tuple[int, str]:
    """Raises RequestError for an invalid marker."""
    if not marker:
        return -1, ""
    try:
        text = base64.urlsafe_b64decode(marker.encode()).decode()
        return int(text[:1]), text[1:]
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "read marker", repr(marker[:100]), got="an invalid marker", expected="a marker from a page"
        ) from error
