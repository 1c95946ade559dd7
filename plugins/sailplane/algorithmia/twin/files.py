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

    def check_readable(self, place: TwinPath, caller: str) -> None:
        """Checks a directory, or a file's directory. The refusal does not reveal whether it exists."""
        if place.owner != caller and self._directories.readers(place) != PUBLIC:
            raise Refusal(
                403, f"read {place.uri}: {caller} is not authorized. Its owner can make the directory public."
            )

    def check_owned(self, place: TwinPath, caller: str) -> None:
        if place.owner != caller:
            raise Refusal(403, f"change {place.uri}: {caller} is not authorized. Only {place.owner} may do that.")

    def head(self, place: TwinPath) -> ObjectInfo:
        """Raises FileNotFoundError."""
        self._check_file(place)
        with _named(place):
            return self._storage.head(place.key)

    def get(self, place: TwinPath) -> bytes:
        with _named(place):
            return self._storage.get(place.key)

    def opened(self, place: TwinPath) -> tuple[ObjectInfo, Iterator[bytes]]:
        """One version's content and entry. ConflictError if it keeps being replaced."""
        for _ in range(_MOST_OPENINGS):
            entry = self.head(place)
            with _named(place):
                pieces = self._storage.stream(place.key)
                first = next(pieces, b"")
            if self.head(place).etag == entry.etag:
                return entry, chain([first], pieces)
        raise ConflictError("get", place.uri, got="it keeps being replaced")

    def put(self, place: TwinPath, pieces: Iterator[bytes], condition: Condition) -> str:
        """Returns the new etag. Raises FileNotFoundError for a missing directory, ConflictError if the condition fails;
        then the file stays unchanged."""
        self._check_file(place)
        self._check_parent(place)
        etag = self._put(place, pieces, condition)
        try:
            # The directory may have been deleted before this file arrived.
            self._check_parent(place)
        except (FileNotFoundError, RequestError):
            self._storage.delete(place.key)
            raise
        return etag

    def delete(self, place: TwinPath) -> None:
        self.head(place)
        self._storage.delete(place.key)

    def create_directory(self, place: TwinPath, read: list[str] | None) -> None:
        if len(place.parts) > 1 and self._storage.exists(place.key):
            raise ConflictError("create directory", place.uri, got="a file has this name")
        self._directories.create(place, read)

    def delete_directory(self, place: TwinPath, *, force: bool) -> int:
        """Returns the number of deleted files. Without `force` only an empty directory is deleted."""
        return self._directories.delete(
            place, lambda: None if force else self._check_empty(place), lambda: self._clear(place)
        )

    def page(self, place: TwinPath, marker: str) -> dict[str, Any]:
        """Directories first, then files, by name, starting after the marker."""
        after = _position(marker)
        found = list(islice(self._items(place, after), PAGE_ITEMS + 1))
        shown = found[:PAGE_ITEMS]
        page: dict[str, Any] = {}
        if folders := [{"name": name} for kind, name, _ in shown if kind == 0]:
            page["folders"] = folders
        if files := [_file(name, entry) for _, name, entry in shown if entry]:
            page["files"] = files
        if len(found) > PAGE_ITEMS:
            page["marker"] = _marker(*shown[-1][:2])
        return page

    def _items(self, place: TwinPath, after: tuple[int, str]) -> Iterator[tuple[int, str, ObjectInfo | None]]:
        """Yields the items in order."""
        if after < _FILES:
            yield from ((0, name, None) for name in self._directories.children(place, after[1]))
        for entry in self._storage.folder(place.files).entries if place.parts else ():
            name = entry.path.removeprefix(f"{place.files}/")
            if (1, name) > after:
                yield 1, name, entry

    def _put(self, place: TwinPath, pieces: Iterator[bytes], condition: Condition) -> str:
        if condition.new:
            if not self._storage.put_new(place.key, pieces):
                raise Refusal(412, f"put {place.uri}: the file exists.")
            return self._storage.head(place.key).etag
        if condition.etag is None:
            return self._storage.put(place.key, pieces)
        try:
            known = self.head(place).etag
            if bare(known) != bare(condition.etag):
                raise ConflictError("put", place.uri, got="another version now")
            return self._storage.replace(place.key, pieces, known)
        except (FileNotFoundError, ConflictError) as error:
            raise Refusal(412, f"put {place.uri}: its version differs from If-Match, or it is gone.") from error

    def _check_file(self, place: TwinPath) -> None:
        if len(place.parts) < 2:
            got = "a collection" if place.parts else "a user"
            raise RequestError("use", place.uri, got=f"{got}, not a file", expected="data://user/collection/file")

    def _check_parent(self, place: TwinPath) -> None:
        """Also checks that no directory has the file's name."""
        if self._directories.find(place.parent) is None:
            raise FileNotFoundError(place.parent.uri)
        if self._directories.find(place) is not None:
            raise RequestError("put", place.uri, status=409, got="a directory has this name")

    def _check_empty(self, place: TwinPath) -> None:
        if any(True for _ in self._items(place, _position(""))):
            remedy = "Delete its content, or delete it with force=true."
            raise RequestError("delete directory", place.uri, got="it is not empty", remedy=remedy)

    def _clear(self, place: TwinPath) -> int:
        paths = [entry.path for entry in self._storage.entries(place.folder)]
        for path in paths:
            self._storage.delete(path)
        return len(paths)


def bare(etag: str) -> str:
    """The etag as stores write it, with or without quotation marks."""
    return etag.removeprefix("W/").strip('"')


@contextmanager
def _named(place: TwinPath) -> Iterator[None]:
    """Names a missing file as the caller knows it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(place.uri) from error


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
