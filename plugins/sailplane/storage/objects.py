"""The common part of local folders and S3: obstore (Rust's object_store). It writes to a temporary name or in invisible
parts, then publishes atomically."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore import exceptions

from sailplane.errors import ConflictError
from sailplane.storage.backend import CHUNK_BYTES, Content, Folder, ObjectInfo
from sailplane.storage.failures import failure, number_of
from sailplane.storage.pieces import handed_over

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import LocalStore, S3Store

# Concurrent parts of an upload; S3 allows at most 10,000 parts.
PARTS_BYTES: Final = 64 * 2**20
PART_BYTES: Final = 8 * 2**20
MOST_PARTS: Final = 10_000
READS: Final = ("get", "look at", "list")


class ObjectBackend:
    """`where`: the store's name in errors. `disk`: its folder, if it is on this machine."""

    def __init__(self, store: LocalStore | S3Store, where: str, disk: Path | None = None) -> None:
        self._store = store
        self._where = where
        self._disk = disk

    def get(self, path: str) -> bytes:
        with self._translated("get", path):
            return bytes(obstore.get(self._store, path).bytes())

    def stream(self, path: str) -> Iterator[bytes]:
        with self._translated("get", path):
            yield from obstore.get(self._store, path).stream(CHUNK_BYTES)

    def content(self, path: str) -> Content:
        return self.stream(path)

    def put(self, path: str, content: Content) -> str:
        there(content)
        with self._translated("put", path):
            return self._put(path, content)

    def put_new(self, path: str, content: Content) -> bool:
        there(content)
        with self._translated("put", path):
            try:
                self._put(path, content, mode="create")
            except (exceptions.AlreadyExistsError, FileExistsError):
                return False
            return True

    def replace(self, path: str, content: Content, etag: str) -> str:
        there(content)
        with self._translated("replace", path):
            return self._put(path, content, mode={"e_tag": etag})

    def head(self, path: str) -> ObjectInfo:
        with self._translated("look at", path):
            return _entry(obstore.head(self._store, path))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with suppress(FileNotFoundError), self._translated("list", prefix):
            for batch in obstore.list(self._store, prefix or None, chunk_size=1000):
                yield from map(_entry, batch)

    def folder(self, path: str) -> Folder:
        with suppress(FileNotFoundError), self._translated("list", path):
            found = obstore.list_with_delimiter(self._store, path or None)
            names = sorted(folder.rpartition("/")[2] for folder in found["common_prefixes"])
            return Folder(sorted(map(_entry, found["objects"]), key=attrgetter("path")), names)
        return Folder([], [])

    def delete(self, path: str) -> None:
        with self._translated("delete", path):
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def _put(self, path: str, content: Content, **how: Any) -> str:
        given = content if isinstance(content, (bytes, Path)) else handed_over(content)
        part = _part_bytes(content)
        most = max(1, PARTS_BYTES // part)
        # Without a mode obstore uploads a large object in parts.
        result = obstore.put(self._store, path, given, chunk_size=part, max_concurrency=most, **how)
        return result["e_tag"] or ""

    @contextmanager
    def _translated(self, verb: str, path: str) -> Iterator[None]:
        """Translates obstore's errors. FileNotFoundError stays, with the object's name."""
        which = f"{self._where}/{path}" if path else self._where
        try:
            yield
        except FileNotFoundError as error:
            if any(code in str(error) for code in ("NoSuchBucket", "NoSuchUpload")):
                raise failure(verb, which, error, self._disk) from error
            raise FileNotFoundError(which) from error
        except exceptions.PreconditionError as error:
            raise ConflictError(verb, which, got="it has changed meanwhile", remedy="Read it again.") from error
        except (exceptions.BaseError, OSError) as error:
            if verb in READS and number_of(error) == errno.ENOTDIR:
                raise FileNotFoundError(which) from error
            raise failure(verb, which, error, self._disk) from error


def there(content: Content) -> None:
    """Raises FileNotFoundError for a missing source file now; later it would be taken for the object."""
    if isinstance(content, Path) and not content.is_file():
        raise FileNotFoundError(content)


def _part_bytes(content: Content) -> int:
    """The bytes per part. An iterator's length is unknown: 160 GB fit."""
    if not isinstance(content, (bytes, Path)):
        return 2 * PART_BYTES
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return max(PART_BYTES, -(-size // MOST_PARTS))


def _entry(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(path=meta["path"], size=meta["size"], modified=meta["last_modified"], etag=meta["e_tag"] or "")
