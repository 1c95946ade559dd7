"""Objects behind one URI. The data plane is obstore; its local store writes to a temporary name and renames, so that
a reader never sees half an object."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError

from sailplane.errors import ConfigurationError


class Storage:
    """Whole-object verbs under a root URI. Paths are relative, with `/`."""

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
        obstore.put(self._store, path, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Create only: False, and nothing written, if the object exists."""
        try:
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
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.get(path))
