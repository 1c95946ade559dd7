"""Reads an S3 object in ranges of one version, several at a time. A single request is slower, and some servers slow
down with its length (SeaweedFS with a reader cache: 25 MiB/s for 1 GiB)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final

import obstore
from obstore import exceptions

from sailplane.errors import ConflictError
from sailplane.storage.backend import Scattered
from sailplane.storage.failures import attempts, failure, may_be_mended, status_of, tried
from sailplane.storage.pieces import all_done, in_order

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import S3Store

# Ranges in memory if the pieces are read in order.
RANGE_BYTES: Final = 4 * 2**20
RANGES_AT_A_TIME: Final = 6
# For writing to a file: needs no memory, and long answers cost less CPU.
STRETCH_BYTES: Final = 32 * 2**20
STRETCHES_AT_A_TIME: Final = 4
# Larger pieces cost more CPU in Linux, smaller ones in obstore.
PIECE_BYTES: Final = 2**17
_EMPTY: Final = 416


@dataclass(frozen=True)
class RangedObject(Scattered):
    """`which`: its name in errors. `translated` translates obstore's errors. `store` must not retry by itself: obstore
    resumes truncated range responses incorrectly.

    Reading raises ConflictError if the object is replaced meanwhile.
    """

    store: S3Store
    path: str
    which: str
    translated: Callable[[], AbstractContextManager[None]]

    def __iter__(self) -> Iterator[bytes]:
        """Yields obstore's own buffers, which can be written without a copy."""
        with self.translated():
            first, meta = self._range(0)
            yield first
            starts = range(RANGE_BYTES, meta["size"], RANGE_BYTES)
            asks = (partial(self._piece, start, meta["e_tag"]) for start in starts)
            yield from in_order(asks, RANGES_AT_A_TIME)

    def write(self, descriptor: int) -> None:
        with self.translated():
            first, meta = self._range(0)
        size, ended = meta["size"], Event()
        _write(descriptor, 0, first)
        long = min(STRETCH_BYTES, max(RANGE_BYTES, -(-(size - len(first)) // STRETCHES_AT_A_TIME)))

        def fill(start: int) -> None:
            for offset, piece in self._stretch(start, min(start + long, size), meta["e_tag"]):
                _write(descriptor, offset, piece)
                if ended.is_set():
                    return

        all_done((partial(fill, start) for start in range(len(first), size, long)), STRETCHES_AT_A_TIME, ended)

    def _stretch(self, start: int, end: int, version: str | None) -> Iterator[tuple[int, bytes]]:
        """Pieces with their offsets. Resumes after a truncated response."""
        tries = attempts()
        with self._of_version():
            while start < end:
                try:
                    for piece in _streamed(self.store, self.path, start, end, version):
                        yield start, piece
                        start += len(piece)
                        tries.progressed()
                except exceptions.BaseError as error:
                    if not may_be_mended(error):
                        raise
                    tries.failed(failure("get", self.which, error))

    def _piece(self, start: int, version: str | None) -> bytes:
        with self._of_version():
            return self._range(start, version)[0]

    @contextmanager
    def _of_version(self) -> Iterator[None]:
        try:
            with self.translated():
                yield
        except FileNotFoundError as error:
            raise ConflictError("get", self.which, got="it was deleted meanwhile") from error

    def _range(self, start: int, version: str | None = None) -> tuple[bytes, ObjectMeta]:
        return tried("get", self.which, partial(_ranged, self.store, self.path, start, version))


def _ranged(store: S3Store, path: str, start: int, version: str | None) -> tuple[bytes, ObjectMeta]:
    try:
        answer = _request(store, path, start, start + RANGE_BYTES, version)
    except exceptions.BaseError as error:
        if status_of(error) != _EMPTY:
            raise
        answer = obstore.get(store, path)
    piece, expected = answer.bytes(), min(RANGE_BYTES, answer.meta["size"] - start)
    if len(piece) != expected:
        raise exceptions.GenericError(f"{len(piece)} bytes of a range of {expected}")
    return piece, answer.meta  # type: ignore[return-value]


def _streamed(store: S3Store, path: str, start: int, end: int, version: str | None) -> Iterator[bytes]:
    for piece in _request(store, path, start, end, version).stream(PIECE_BYTES):
        start += len(piece)
        if start > end:
            break
        yield piece
    if start != end:
        raise exceptions.GenericError(f"{abs(end - start)} bytes too {'few' if start < end else 'many'} of a range")


def _request(store: S3Store, path: str, start: int, end: int, version: str | None) -> GetResult:
    options: GetOptions = {"range": (start, end)}
    return obstore.get(store, path, options={**options, "if_match": version} if version else options)


def _write(descriptor: int, offset: int, piece: bytes) -> None:
    whole = memoryview(piece)
    while whole:
        written = os.pwrite(descriptor, whole[:PIECE_BYTES], offset)
        whole, offset = whole[written:], offset + written
