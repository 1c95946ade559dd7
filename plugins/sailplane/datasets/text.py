"""Text files as blocks of bytes: decompressed, in UTF-8, without a BOM."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sailplane.datasets.unreadable import broken

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Parsed in one piece, which takes about 50 times as much memory. No row may be larger than a block.
BLOCK_BYTES: Final = 2 * 2**20


class Pieces(io.RawIOBase):
    """Chunks of bytes as the file object that Arrow reads."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer) -> int:
        while not self._piece:
            if (piece := next(self._pieces, None)) is None:
                return 0
            self._piece = memoryview(piece)
        wanted = memoryview(target)
        size = min(len(wanted), len(self._piece))
        wanted[:size], self._piece = self._piece[:size], self._piece[size:]
        return size


def blocks(uri: str, pieces: Iterable[bytes], codec: str | None) -> Iterator[bytes]:
    """The decompressed text (`codec` is gzip or zstd) in blocks of BLOCK_BYTES, without a BOM."""
    file: Any = io.BufferedReader(Pieces(pieces), BLOCK_BYTES)
    if codec:
        file = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec)
    first = file.read(BLOCK_BYTES)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise broken(uri, "it is UTF-16; expected UTF-8")
    yield first.removeprefix(codecs.BOM_UTF8)
    while block := file.read(BLOCK_BYTES):
        yield block
