"""The interface of the store's backends, and the description of an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Scattered(ABC, Iterable[bytes]):
    """An object's pieces, in order or, faster, written to a file at their offsets."""

    @abstractmethod
    def write(self, descriptor: int) -> None:
        """Writes the object to an open, empty file. Raises OSError if the write fails."""


# Bytes, a file, or an iterator of pieces.
Content = bytes | Path | Iterable[bytes]
CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """An object: `path` under the root, `size` in bytes. `etag` changes with the content; it is not a checksum."""

    path: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Folder:
    """The direct content of a folder: its objects and the names of its subfolders, both sorted."""

    entries: list[ObjectInfo]
    folders: list[str]


class Backend(Protocol):
    """Whole-object operations. Paths are relative to the root and checked (keys.py). A reader sees the object before or
    after a put, never in part, even if the writer is killed.

    All raise StorageError if the store is unreachable or refuses, and AccessError for wrong credentials. Those that
    read an object raise FileNotFoundError if it is missing.
    """

    def get(self, path: str) -> bytes: ...

    def stream(self, path: str) -> Iterator[bytes]:
        """The content of one version, in pieces of about CHUNK_BYTES. Raises ConflictError if it is replaced meanwhile
        and the rest of the old version is gone."""
        ...

    def put(self, path: str, content: Content) -> str:
        """Create or replace. Returns the new etag."""
        ...

    def content(self, path: str) -> Content:
        """The object in a form that another backend can put."""
        ...

    def put_new(self, path: str, content: Content) -> bool:
        """Create. Returns False, and changes nothing, if the object exists."""
        ...

    def replace(self, path: str, content: Content, etag: str) -> str:
        """Replace that version. Raises ConflictError, and changes nothing, if it was replaced or deleted."""
        ...

    def head(self, path: str) -> ObjectInfo: ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects under the folder `prefix` ("" for the root), unordered."""
        ...

    def folder(self, path: str) -> Folder:
        """The direct content of the folder `path` ("" for the root). A missing folder is empty."""
        ...

    def delete(self, path: str) -> None:
        """A missing object is not an error."""
        ...

    def sign(self, path: str, seconds: int) -> str:
        """A URL that lets anyone download the object for that time. Raises StorageError if the store cannot sign
        URLs."""
        ...
