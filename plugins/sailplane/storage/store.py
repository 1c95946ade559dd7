"""The store for the rest of the platform: checked paths under a root URI, on the backend of its scheme."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sailplane.errors import ConfigurationError, DataError
from sailplane.storage.access import CredentialProvider
from sailplane.storage.backend import Backend, Content, Folder, ObjectInfo
from sailplane.storage.keys import checked
from sailplane.storage.roots import RELATIVE, Root
from sailplane.storage.transfer import Tell, TransferProgress, transfer

T = TypeVar("T")
FRESH: Final = timedelta(days=1)
# The object that describes the store, and its key for the store's earlier roots.
IDENTITY: Final = "sailplane.json"
EARLIER: Final = "earlier"
RESTORE: Final = "Restore it from a backup of the store."
NOT_MOVED: Final = "If SAILPLANE_STORE was changed, set it back, and run `sailplane store move URI`."


class Storage:
    """Whole-object operations under a root URI. Paths are relative, with `/`; one that leaves the root raises
    ConfigurationError.

    `access`: the credentials; by default this process's file or the environment. A put is atomic. Raises StorageError
    if the store fails for longer than the retries, AccessError if it refuses access.
    """

    def __init__(self, root: str, access: CredentialProvider | None = None) -> None:
        location = Root.parse(root)
        self.root = location.uri
        # The parts of a key that count towards its length, besides the path.
        self._prefix = "" if location.scheme == "file" else location.prefix
        self._backend: Backend = location.open(access)

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def path(self, uri: str) -> str:
        """The inverse of `uri`. Also takes a URI relative to the store, or under one of its earlier roots."""
        roots = (self.root, RELATIVE)
        for root in roots if uri.startswith(tuple(f"{root}/" for root in roots)) else self.earlier_roots():
            if uri.startswith(f"{root}/"):
                return uri.removeprefix(f"{root}/")
        raise ConfigurationError(
            "resolve",
            uri,
            got="outside the store",
            expected=f"a URI under {self.root}",
            remedy=NOT_MOVED,
        )

    def earlier_roots(self) -> tuple[str, ...]:
        """The roots that the store had before it was moved here."""
        try:
            return self.read_json(IDENTITY, lambda about: tuple(about.get(EARLIER, ())))
        except FileNotFoundError:
            return ()

    def get(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        return self._backend.get(self._key(path))

    def read_text(self, path: str, remedy: str = RESTORE) -> str:
        """Raises FileNotFoundError; DataError, with the remedy, for an object that is not UTF-8."""
        content = self.get(path)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise self._damaged(path, error, "text in UTF-8", remedy) from error

    def read_json(self, path: str, parse: Callable[[Any], T], remedy: str = RESTORE) -> T:
        """The result of `parse` for the object's JSON. Raises FileNotFoundError; DataError, with the remedy, for a
        damaged object: not JSON, or not in the form that `parse` accepts."""
        content = self.get(path)
        try:
            return parse(json.loads(content))
        except KeyError as error:
            raise self._damaged(path, f"no key {error}", "the JSON that sailplane writes there", remedy) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise self._damaged(path, error, "the JSON that sailplane writes there", remedy) from error

    def stream(self, path: str) -> Iterator[bytes]:
        """The content in pieces of some megabytes, all of one version. Raises FileNotFoundError."""
        return self._backend.stream(self._key(path))

    def put(self, path: str, content: Content) -> str:
        """Create or replace. Returns the new etag. If an iterator raises, the object stays unchanged."""
        return self._backend.put(self._key(path), content)

    def put_new(self, path: str, content: Content) -> bool:
        """Create. Returns False, and writes nothing, if the object exists."""
        return self._backend.put_new(self._key(path), content)

    def keep(self, path: str, content: bytes) -> None:
        """Put a content-addressed object if it is missing, older than a day, or truncated. Garbage collection spares
        young objects; on the Hub, equal content keeps its age."""
        try:
            existing = self.head(path)
        except FileNotFoundError:
            self.put_new(path, content)
        else:
            if existing.size != len(content) or datetime.now(UTC) - existing.modified > FRESH:
                self.put(path, content)

    def replace(self, path: str, content: Content, etag: str) -> str:
        """Replace that version of the object. Returns the new etag. Raises ConflictError, and changes nothing, if it
        has changed."""
        return self._backend.replace(self._key(path), content, etag)

    def head(self, path: str) -> ObjectInfo:
        """Raises FileNotFoundError."""
        return self._backend.head(self._key(path))

    def exists(self, path: str) -> bool:
        try:
            self.head(path)
        except FileNotFoundError:
            return False
        return True

    def entries(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects under a folder, unordered."""
        return self._backend.list(self._key(prefix) if prefix else "")

    def folder(self, path: str = "") -> Folder:
        """The direct content of a folder; a missing folder is empty."""
        return self._backend.folder(self._key(path) if path else "")

    def list(self, prefix: str = "") -> list[str]:
        """The paths of the objects under a folder, sorted."""
        return sorted(entry.path for entry in self.entries(prefix))

    def delete(self, path: str) -> None:
        """A missing object is not an error."""
        self._backend.delete(self._key(path))

    def checksum(self, path: str) -> str:
        """SHA-256 of the content, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.stream(path):
            digest.update(piece)
        return digest.hexdigest()

    def presign(self, path: str, seconds: int = 3600) -> str:
        """A URL that lets anyone download the object for that time. Raises StorageError if the store cannot sign
        URLs."""
        return self._backend.sign(self._key(path), seconds)

    def upload(self, folder: Path, prefix: str) -> TransferProgress:
        """Uploads all files under a local folder, several at a time."""
        return self._take(Storage(folder.as_uri()), "", prefix)

    def download(self, prefix: str, folder: Path) -> TransferProgress:
        """Downloads all objects under `prefix`, several at a time. Raises FileNotFoundError if there are none."""
        moved = Storage(folder.as_uri())._take(self, prefix, "")
        if not moved.objects:
            raise FileNotFoundError(self.uri(prefix))
        return moved

    def sync(self, source: Storage, *, delete: bool = False, tell: Tell | None = None) -> TransferProgress:
        """Copies from `source` the objects that are missing here, differ in size, or are older here.

        `delete` removes objects that `source` lacks. `tell` is called with the progress, from one thread at a time.
        """
        ours = {entry.path: entry for entry in self.entries()}
        theirs = {entry.path: entry for entry in source.entries()}
        moves = [(path, path, entry.size) for path, entry in theirs.items() if not _same(entry, ours.get(path))]
        moved = transfer(source._backend, self._backend, moves, tell)
        for path in ours.keys() - theirs.keys() if delete else ():
            self.delete(path)
        return moved

    def _take(self, source: Storage, prefix_there: str, prefix_here: str) -> TransferProgress:
        moves = []
        for entry in source.entries(prefix_there):
            rest = entry.path.removeprefix(f"{prefix_there}/") if prefix_there else entry.path
            moves.append((entry.path, self._key(f"{prefix_here}/{rest}" if prefix_here else rest), entry.size))
        return transfer(source._backend, self._backend, moves, None)

    def _damaged(self, path: str, found: object, expected: str, remedy: str) -> DataError:
        return DataError("read", self.uri(path), got=f"it is damaged: {found}", expected=expected, remedy=remedy)

    def _key(self, path: str) -> str:
        return checked(path, self._prefix)


def _same(source: ObjectInfo, target: ObjectInfo | None) -> bool:
    return target is not None and target.size == source.size and target.modified >= source.modified
