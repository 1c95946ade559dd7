"""Content of known size that can be sent repeatedly, which makes retries possible and puts atomic."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from sailplane.errors import ConflictError
from sailplane.files import room_for
from sailplane.storage.backend import CHUNK_BYTES, Content

PIECE_BYTES: Final = 2**20


@dataclass(frozen=True)
class Body:
    """`size` in bytes. `pieces()` starts from the beginning each time; only one reading at a time."""

    size: int
    pieces: Callable[[], Iterator[bytes]]


@contextmanager
def sendable(content: Content) -> Iterator[Body]:
    """Spools an iterator of pieces to a temporary file first, so that its errors are raised before anything is sent.
    Raises StorageError if the disk is full."""
    if isinstance(content, bytes):
        yield Body(len(content), lambda: _slices(content))
    elif isinstance(content, Path):
        with content.open("rb") as file:
            yield _of_file(file, os.fstat(file.fileno()).st_size, str(content))
    else:
        with _spooled(content) as file:
            yield _of_file(file, file.tell(), "the spooled content")


@contextmanager
def _spooled(pieces: Iterable[bytes]) -> Iterator[IO[bytes]]:
    with tempfile.SpooledTemporaryFile(CHUNK_BYTES) as file:
        for piece in pieces:
            with room_for(Path(tempfile.gettempdir())):
                file.write(piece)
        with room_for(Path(tempfile.gettempdir())):
            file.flush()
        yield file


def _slices(content: bytes) -> Iterator[bytes]:
    whole = memoryview(content)
    for start in range(0, len(content), PIECE_BYTES):
        yield bytes(whole[start : start + PIECE_BYTES])


def _of_file(file: IO[bytes], size: int, name: str) -> Body:
    def pieces() -> Iterator[bytes]:
        file.seek(0)
        left = size
        while left:
            piece = file.read(min(left, PIECE_BYTES))
            if not piece:
                raise ConflictError("send", name, got="it became shorter meanwhile", remedy="Put it again.")
            left -= len(piece)
            yield piece

    return Body(size, pieces)
