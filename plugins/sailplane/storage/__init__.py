"""Objects behind one URI. The data plane is obstore; its local store writes to a temporary name and renames, so that
a reader never sees half an object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError

from sailplane.errors import ConfigurationError
from sailplane.files import FULL, no_room, room_for


class Storage:
    """Whole-object verbs under a root URI. Paths are relative, with `/`. A put that finds no room raises StorageError,
    and leaves what was there."""

    def __init__(self, root: str) -> None:
        parts = urlsplit(root)
        if parts.scheme != "file":
            raise ConfigurationError("open storage", root, got=f"scheme {parts.scheme!r}", expected="file://")
        self.root = root.rstrip("/")
        self.folder = Path(url2pathname(parts.path))
        self._store = obstore.store.LocalStore(self.folder, mkdir=True)

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def path(self, uri: str) -> str:
        """The inverse of `uri`."""
        if not uri.startswith(f"{self.root}/"):
            raise ConfigurationError("resolve", uri, got="outside the store", expected=f"a URI under {self.root}")
        return uri.removeprefix(f"{self.root}/")

    def get(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        return bytes(obstore.get(self._store, path).bytes())

    def put(self, path: str, data: bytes) -> None:
        with self._room_for(path):
            obstore.put(self._store, path, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Create only: False, and nothing written, if the object exists."""
        try:
            with self._room_for(path):
                obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def exists(self, path: str) -> bool:
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> list[str]:
        return sorted(entry["path"] for batch in obstore.list(self._store, prefix) for entry in batch)

    def delete(self, path: str) -> None:
        obstore.delete(self._store, path)

    def upload(self, folder: Path, prefix: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def download(self, prefix: str, folder: Path) -> None:
        """Raises FileNotFoundError if nothing lies under `prefix`."""
        paths = self.list(prefix)
        if not paths:
            raise FileNotFoundError(self.uri(prefix))
        for path in paths:
            target = folder / path.removeprefix(f"{prefix}/")
            with room_for(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.get(path))

    @contextmanager
    def _room_for(self, path: str) -> Iterator[None]:
        try:
            yield
        except GenericError as error:
            # The number is in the words alone.
            found = re.search(r"\(os error (\d+)\)", str(error))
            if not found or int(found.group(1)) not in FULL:
                raise
            raise no_room("write", self.uri(path), disk=self.folder, number=int(found.group(1))) from error
