"""Collections of an Algorithmia Data API: `data://user/collection[/folder]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import Final

from sailplane.algorithmia.client import DataApi
from sailplane.algorithmia.client.spool import sendable
from sailplane.algorithmia.client.wire import above
from sailplane.errors import ConflictError, StorageError
from sailplane.storage.access import CredentialProvider
from sailplane.storage.backend import Content, Folder, ObjectInfo
from sailplane.storage.keys import checked
from sailplane.storage.roots import Root

LISTED_AT_A_TIME: Final = 8


def open_backend(root: Root, access: CredentialProvider | None = None) -> DataApiBackend:
    return DataApiBackend(root.host, root.prefix, access)


class DataApiBackend:
    """Files under `prefix`, a collection and optional folders, of `user`. The first put creates missing folders.

    The API cannot create without replacing, nor replace one version. Both methods read the file's head first, then put
    with `If-None-Match: *` or `If-Match`. The twin honours these: one of several writers wins. On a server that ignores
    them, two writers between head and put both believe that they won, and the last one's content stays.
    """

    def __init__(self, user: str, prefix: str, ask: CredentialProvider | None = None) -> None:
        self._root = checked(f"{user}/{prefix}")
        self._api = DataApi(ask() if ask else None)
        self._made: set[str] = set()
        self._turn = Lock()

    def get(self, path: str) -> bytes:
        return self._api.files.get(self._full_path(path))

    def stream(self, path: str) -> Iterator[bytes]:
        return self._api.files.stream(self._full_path(path))

    def content(self, path: str) -> Content:
        return self.stream(path)

    def put(self, path: str, content: Content) -> str:
        return self._put(path, content, {})

    def put_new(self, path: str, content: Content) -> bool:
        with suppress(FileNotFoundError):
            self.head(path)
            return False
        try:
            self._put(path, content, {"If-None-Match": "*"})
        except ConflictError:
            return False
        return True

    def replace(self, path: str, content: Content, etag: str) -> str:
        try:
            found = self.head(path).etag
        except FileNotFoundError:
            found = "it is gone"
        if found != etag:
            raise ConflictError(
                "replace", f"data://{self._full_path(path)}", got=found, expected=etag, remedy="Read it again."
            )
        return self._put(path, content, {"If-Match": etag})

    def head(self, path: str) -> ObjectInfo:
        return self._under_root(self._api.files.head(self._full_path(path)))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Lists several directories in parallel."""
        with ThreadPoolExecutor(LISTED_AT_A_TIME) as threads:
            folders = {threads.submit(self.folder, prefix): prefix}
            try:
                while folders:
                    done, _ = wait(folders, return_when=FIRST_COMPLETED)
                    for listing in done:
                        within, found = folders.pop(listing), listing.result()
                        for name in found.folders:
                            below = f"{within}/{name}" if within else name
                            folders[threads.submit(self.folder, below)] = below
                        yield from found.entries
            finally:
                threads.shutdown(cancel_futures=True)

    def folder(self, path: str) -> Folder:
        """Also lists folders that hold nothing: they were created empty, or their files were deleted."""
        try:
            found = self._api.directories.list(self._full_path(path))
        except FileNotFoundError:
            return Folder([], [])
        return Folder([self._under_root(entry) for entry in found.entries], found.folders)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            # Not for a directory with this name.
            self.head(path)
            self._api.files.delete(self._full_path(path))

    def sign(self, path: str, seconds: int) -> str:
        raise StorageError(
            f"sign a URL of {seconds} s for",
            f"data://{self._full_path(path)}",
            got="a Data API",
            expected="a store with URLs",
        )

    def _put(self, path: str, content: Content, condition: Mapping[str, str]) -> str:
        full_path = self._full_path(path)
        with sendable(content) as body:
            self._make(above(full_path))
            try:
                return self._api.files.send(full_path, body, condition)
            except FileNotFoundError:
                # Someone deleted the directory.
                self._made.clear()
                self._make(above(full_path))
                return self._api.files.send(full_path, body, condition)

    def _make(self, folder: str) -> None:
        with self._turn:
            if folder not in self._made:
                self._api.directories.make(folder)
                self._made.add(folder)

    def _full_path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _under_root(self, entry: ObjectInfo) -> ObjectInfo:
        return replace(entry, path=entry.path.removeprefix(f"{self._root}/"))
