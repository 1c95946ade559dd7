"""A folder on this machine as a store."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore

from sailplane.errors import StorageError
from sailplane.storage.access import CredentialProvider
from sailplane.storage.backend import Content, Scattered
from sailplane.storage.failures import failure
from sailplane.storage.objects import ObjectBackend
from sailplane.storage.roots import Root, local_folder

# Writing a file in megabytes takes three times the CPU on Linux.
WRITE_BYTES: Final = 2**17


def open_backend(root: Root, _access: CredentialProvider | None = None) -> LocalBackend:
    return LocalBackend(local_folder(root.uri))


class LocalBackend(ObjectBackend):
    def __init__(self, folder: Path) -> None:
        try:
            super().__init__(LocalStore(folder, mkdir=True), folder.as_uri(), folder)
        except (BaseError, OSError) as error:
            raise failure("open", folder.as_uri(), error, folder) from error
        self._folder = folder

    def content(self, path: str) -> Content:
        return self._folder / path

    def replace(self, path: str, content: Content, etag: str) -> str:
        """Concurrent replacements are serialised, so one wins. An unconditional put does not wait."""
        with self._translated("replace", path), self._turn():
            if self._etag(path) != etag:
                raise PreconditionError(path)
            return self._put(path, content)

    def delete(self, path: str) -> None:
        # Like S3, which has no folders: a path that is not an object does not exist.
        if not (self._folder / path).is_dir():
            super().delete(path)

    def sign(self, path: str, seconds: int) -> str:  # noqa: ARG002
        raise StorageError("sign a URL of", f"{self._where}/{path}", got="a local folder", expected="a store with URLs")

    def _put(self, path: str, content: Content, **how: Any) -> str:
        """Writes pieces here, because obstore would need another thread. The temporary name is obstore's."""
        if isinstance(content, (bytes, Path)):
            return super()._put(path, content, **how)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}#{secrets.randbits(32)}")
        try:
            with draft.open("xb") as file:
                if isinstance(content, Scattered):
                    content.write(file.fileno())
                else:
                    file.writelines(_slices(content))
            if how.get("mode") == "create":
                os.link(draft, target)
            else:
                draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        return self.head(path).etag

    def _etag(self, path: str) -> str | None:
        try:
            return self.head(path).etag
        except FileNotFoundError:
            return None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _slices(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        whole = memoryview(piece)
        for start in range(0, len(whole), WRITE_BYTES):
            yield whole[start : start + WRITE_BYTES]
