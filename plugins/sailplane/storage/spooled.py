"""Objects as files: reads see one version, writes are put whole."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from fsspec.compression import compr

from sailplane.files import room_for
from sailplane.storage.backend import CHUNK_BYTES
from sailplane.storage.store import Storage

# Bytes of an open file in memory; a larger file is on disk.
SPOOL_BYTES: Final = 64 * 2**20

log = logging.getLogger(__name__)


def opened(store: Storage, key: str, compression: str | None = None) -> IO[bytes]:
    """The object as a seekable file. Raises FileNotFoundError, and StorageError if the disk has no room."""
    file = _Read(SPOOL_BYTES)
    try:
        with _room():
            file.writelines(store.stream(key))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return _unpacked(file, compression) if compression else file


class Written:
    """A file that is put when it is closed, and discarded if its `with` body raises."""

    def __init__(self, store: Storage, key: str, *, new: bool, compression: str | None = None) -> None:
        self._store, self._key, self._new, self._compression = store, key, new, compression
        self._file = _spool()
        self._before = sys.exc_info()[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        with _room():
            return self._file.write(data)

    def __enter__(self) -> Written:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Puts the file. Raises FileExistsError if it must be new and exists."""
        if self._file.closed:
            return
        try:
            # Text, compression and fsspec's OpenFile only close the wrapped file, even if their `with` body raises.
            if (raised := sys.exc_info()[1]) is None or raised is self._before:
                self._put()
            else:
                log.warning("%s was not written because of %s", self._store.uri(self._key), type(raised).__name__)
        finally:
            self._file.close()

    def _put(self) -> None:
        self._file.seek(0)
        with _packed(self._file, self._compression) as file:
            pieces = iter(lambda: file.read(CHUNK_BYTES), b"")
            if not self._new:
                self._store.put(self._key, pieces)
            elif not self._store.put_new(self._key, pieces):
                raise FileExistsError(self._store.uri(self._key))


class _Read(tempfile.SpooledTemporaryFile[bytes]):
    def __del__(self) -> None:
        # pyarrow does not close files after reading, and its warnings about them help nobody.
        self.close()


class _KeptOpen:
    """Keeps a file open, because some compressors close their output."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Only rewinds: the file is read next."""


def _unpacked(packed: IO[bytes], compression: str) -> IO[bytes]:
    file = _Read(SPOOL_BYTES)
    try:
        with packed, _room(), compr[compression](_KeptOpen(packed), mode="r") as reader:
            shutil.copyfileobj(reader, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


@contextmanager
def _packed(file: IO[bytes], compression: str | None) -> Iterator[IO[bytes]]:
    if compression is None:
        yield file
        return
    with _spool() as packed:
        with _room(), compr[compression](_KeptOpen(packed), mode="w") as packer:
            shutil.copyfileobj(file, packer)
        packed.seek(0)
        yield packed


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix="sailplane-")


@contextmanager
def _room() -> Iterator[None]:
    with room_for(Path(tempfile.gettempdir())):
        yield
