"""Storage as an fsspec filesystem, for pandas, pyarrow and Airflow's ObjectStoragePath.

A file opened for writing is spooled locally and put when it is closed; if its `with` body raises, nothing is put. A
file opened for reading is fetched whole, so it is one version of the object, even if that changes.

`ls`, `walk` and a `glob` of one level list one folder at a time; `find` and other globs list everything below the path:
on S3 one request per thousand objects.

For Parquet by URI pandas first uses pyarrow's own `s3://` and `hf://`, without Airflow's connections.
`pd.read_parquet(uri, storage_options={})` uses this filesystem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Final

from fsspec.core import get_compression
from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from sailplane.errors import ConfigurationError
from sailplane.storage.backend import ObjectInfo
from sailplane.storage.spooled import Written, opened
from sailplane.storage.store import Storage

Open = Callable[[str], Storage]
# Options without effect here. Others are refused: they may be credentials that would not be used.
FSSPECS_OWN: Final = frozenset({"asynchronous", "batch_size", "loop", "skip_instance_cache", "use_listings_cache"})


class StorageFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Paths are the part after `scheme://`. Their first `depth` parts name a store's root: a bucket, a collection."""

    cachable = False
    root_marker: ClassVar[str] = ""
    depth: ClassVar[int] = 1

    def __init__(self, open_storage: Open = Storage, **options: Any) -> None:
        if unknown := sorted(options.keys() - FSSPECS_OWN):
            remedy = "Credentials come from an Airflow connection, or from the environment."
            got = f"storage option {unknown[0]!r}"
            raise ConfigurationError("open", f"{self._scheme}://", got=got, expected="none", remedy=remedy)
        super().__init__(open_storage, **options)
        self._open_storage = open_storage
        self._stores: dict[str, Storage] = {}

    @property
    def fsid(self) -> str:
        return f"sailplane-{self._scheme}"

    @property
    def _scheme(self) -> str:
        return self.protocol if isinstance(self.protocol, str) else self.protocol[0]

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        listed = self._right_in(path)
        if not listed:
            # FileNotFoundError, unless it is an object or an empty store.
            about = self.info(path)
            listed = [about] if about["type"] == "file" else []
        return listed if detail else [about["name"] for about in listed]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        store, key = self._place(path)
        if key:
            try:
                return _described(path, store.head(key))
            except FileNotFoundError:
                if next(iter(store.entries(key)), None) is None:
                    raise
        return _folder(path)

    def exists(self, path: str, **_: Any) -> bool:
        """Raises StorageError if the store fails."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """As `exists`."""
        try:
            return bool(self.info(path)["type"] == "file")
        except FileNotFoundError:
            return False

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        path = self._strip_protocol(path)
        found: dict[str, Any] = {}
        if maxdepth == 1:
            found = {about["name"]: about for about in self._right_in(path) if withdirs or about["type"] == "file"}
        else:
            for about in self._below(path):
                found.update(_on_the_way(path, about, maxdepth, withdirs))
        if not found and self.isfile(path):
            found[path] = self.info(path)
        elif withdirs and (found or self.isdir(path)):
            found.setdefault(path, _folder(path))
        return dict(sorted(found.items())) if detail else sorted(found)

    def open(self, path: str, mode: str = "rb", *args: Any, compression: str | None = None, **kwargs: Any) -> Any:
        if compression:
            kwargs["packed"] = get_compression(self._strip_protocol(path), compression)
        return super().open(path, mode, *args, **kwargs)

    def expand_path(self, path: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any) -> list[str]:
        """A path with `*`, `?` or `[` first means the object of that exact name, then the pattern."""
        if kwargs.pop("assume_literal", False) or not isinstance(path, str):
            return list(super().expand_path(path, recursive, maxdepth, **kwargs))
        literal = _is_pattern(path) and self.exists(path)
        return list(super().expand_path([path], recursive, maxdepth, assume_literal=literal, **kwargs))

    def copy(self, path1: Any, path2: Any, recursive: bool = False, **kwargs: Any) -> None:
        if isinstance(path1, str) and isinstance(path2, str) and _is_pattern(path1) and self.isfile(path1):
            into = path2.endswith("/") or self.isdir(path2)
            name = path1.rpartition("/")[2]
            path1, path2 = [path1], [f"{path2.rstrip('/')}/{name}" if into else path2]
        super().copy(path1, path2, recursive=recursive, **kwargs)

    def rm(self, path: str | Sequence[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Raises FileNotFoundError, and IsADirectoryError for a folder without `recursive`."""
        for pattern in [path] if isinstance(path, str) else path:
            for name in self.expand_path(pattern):
                kind = self.info(name)["type"]
                if kind == "directory" and not recursive:
                    raise IsADirectoryError(self.unstrip_protocol(name))
                for file in self.find(name, maxdepth=maxdepth) if kind == "directory" else [name]:
                    self.rm_file(file)

    def rm_file(self, path: str) -> None:
        store, key = self._place(self._strip_protocol(path))
        store.delete(key)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, key = self._place(self._strip_protocol(path1))
        target, to = self._place(self._strip_protocol(path2))
        if self.info(path1)["type"] == "file":
            target.put(to, source.stream(key))

    def created(self, path: str) -> Any:
        return self.modified(path)

    def modified(self, path: str) -> Any:
        return self.info(path)["modified"]

    def checksum(self, path: str) -> str:
        store, key = self._place(self._strip_protocol(path))
        return store.checksum(key)

    def sign(self, path: str, expiration: int = 3600, **_: Any) -> str:
        store, key = self._place(self._strip_protocol(path))
        return store.presign(key, expiration)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Does nothing: folders exist only through their objects."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """As `mkdir`."""

    def rmdir(self, path: str) -> None:
        """As `mkdir`."""

    def _open(self, path: str, mode: str = "rb", packed: str | None = None, **_: Any) -> Any:
        store, key = self._place(path)
        if mode == "rb":
            return opened(store, key, packed)
        if mode in ("wb", "xb"):
            return Written(store, key, new=mode == "xb", compression=packed)
        raise ConfigurationError(
            "open", store.uri(key), got=f"mode {mode!r}", expected="rb, wb or xb", remedy="Write it whole."
        )

    def _right_in(self, path: str) -> list[dict[str, Any]]:
        store, key = self._place(path)
        within = store.folder(key)
        files = [_described(f"{path}/{entry.path.rpartition('/')[2]}", entry) for entry in within.entries]
        return sorted([*files, *(_folder(f"{path}/{name}") for name in within.folders)], key=itemgetter("name"))

    def _below(self, path: str) -> Iterator[dict[str, Any]]:
        store, key = self._place(path)
        root = path.split("/")[: self.depth]
        for entry in store.entries(key):
            yield _described("/".join((*root, entry.path)), entry)

    def _place(self, path: str) -> tuple[Storage, str]:
        parts = path.strip("/").split("/")
        if len(parts) < self.depth or not all(parts[: self.depth]):
            # The part before the @ may be a secret.
            which = f"{self._scheme}://{path.rpartition('@')[2]}"
            expected = f"{self._scheme}:// and at least {self.depth} part(s)"
            raise ConfigurationError("open", which, got="no store", expected=expected)
        root = "/".join(parts[: self.depth])
        if root not in self._stores:
            self._stores[root] = self._open_storage(f"{self._scheme}://{root}")
        return self._stores[root], "/".join(parts[self.depth :])


class S3FileSystem(StorageFileSystem):
    protocol = "s3"


class DataFileSystem(StorageFileSystem):
    """Algorithmia: user and collection."""

    protocol = "data"
    depth = 2


class HubFileSystem(StorageFileSystem):
    """Hugging Face: kind, owner and name of a repository or a bucket."""

    protocol = "hf"
    depth = 3


def _is_pattern(path: str) -> bool:
    return any(sign in stringify_path(path) for sign in "*?[")


def _described(path: str, entry: ObjectInfo) -> dict[str, Any]:
    about = {"size": entry.size, "type": "file", "modified": entry.modified, "etag": entry.etag}
    return {"name": path, **about}


def _folder(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


def _on_the_way(path: str, about: dict[str, Any], maxdepth: int | None, folders: bool) -> Iterator[tuple[str, Any]]:
    """A file below a folder and, with `folders`, the folders between them."""
    parts = about["name"][len(path) + 1 :].split("/")
    deepest = min(maxdepth or len(parts), len(parts))
    for depth in range(1 if folders else deepest, deepest + 1):
        name = f"{path}/{'/'.join(parts[:depth])}"
        if depth == len(parts):
            yield about["name"], about
        elif folders:
            yield name, _folder(name)
