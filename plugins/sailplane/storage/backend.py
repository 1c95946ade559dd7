"""What every backend of the store can do, and what is said of an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Scattered(ABC, Iterable[bytes]):
    """An object's pieces in their order; or, which is faster, each written where it belongs in a file."""

    @abstractmethod
    def write(self, descriptor: int) -> None:
        """All of it, into a file that is open and empty. OSError where that takes no more."""


# Bytes at hand, a file to be read, or pieces that come one by one.
Content = bytes | Path | Iterable[bytes]
CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object: `path` under the root, `size` in bytes. `etag` changes with the content; it is no checksum."""

    path: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Folder:
    """What lies right in a folder: its objects, and the names of the folders in it, both in order."""

    entries: list[Entry]
    folders: list[str]


class Backend(Protocol):
    """Whole-object verbs. Paths are relative to the root and checked (keys.py). A reader sees the object before a put
    or after it, never a part of it, whatever happens to the one who puts.

    All raise StorageError where the store cannot be reached or refuses, AccessError where the credentials are wrong;
    those that read an object FileNotFoundError where there is none.
    """

    def get(self, path: str) -> bytes: ...

    def stream(self, path: str) -> Iterator[bytes]:
        """The content of one version, in pieces of about CHUNK_BYTES. ConflictError if it is replaced meanwhile and the
        rest of the old version is not to be had."""
        ...

    def put(self, path: str, content: Content) -> str:
        """Create or replace; the new etag."""
        ...

    def content(self, path: str) -> Content:
        """The object as something that another backend can put."""
        ...

    def put_new(self, path: str, content: Content) -> bool:
        """Create; False, and nothing changed, if the object exists."""
        ...

    def replace(self, path: str, content: Content, etag: str) -> str:
        """Replace that version; ConflictError, and nothing changed, if it is another one by now, or gone."""
        ...

    def head(self, path: str) -> Entry: ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects under the folder `prefix` ("" for the root), in no order."""
        ...

    def folder(self, path: str) -> Folder:
        """What lies right in the folder `path` ("" for the root), without what is below that. A folder that is not
        there holds nothing."""
        ...

    def delete(self, path: str) -> None:
        """An object that is not there is no error."""
        ...

    def sign(self, path: str, seconds: int) -> str:
        """A URL that gives the object to whoever has it, for that time. StorageError where the store has no such."""
        ...
