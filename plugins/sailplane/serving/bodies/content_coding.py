"""Bodies in gzip and deflate, inflated as they arrive, up to the limit of a body.

https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1
"""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import Final

from sailplane.bundles.columns import shown
from sailplane.errors import RequestError

ACCEPTED: Final = "gzip, deflate, identity"
# Bytes inflated at a time, which takes less than a millisecond.
_PIECE: Final = 128 * 2**10
_GZIP, _ZLIB, _RAW = 31, 15, -15


def decoder(coding: bytes) -> Decoder | None:
    """None for an uncompressed body. Raises RequestError (415) for an unknown coding."""
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return None
    if name in (b"gzip", b"x-gzip", b"deflate"):
        return Decoder(name.decode().removeprefix("x-"))
    got = shown(coding.decode("latin-1"))
    raise RequestError("read Content-Encoding", status=415, got=got, expected=f"one of {ACCEPTED}")


class Decoder:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream = None if coding == "deflate" else zlib.decompressobj(_GZIP)

    def decoded(self, part: bytes) -> Generator[bytes, None, None]:
        """Decodes the next part of a body, in pieces of bounded size."""
        while part:
            part = yield from self._member(part)

    def end(self) -> None:
        """Raises RequestError for an incomplete body."""
        if self._stream is None or not self._stream.eof:
            raise self._broken("a stream that ends too early")

    def _member(self, part: bytes) -> Generator[bytes, None, bytes]:
        """Returns the bytes after the end of a gzip member: the next member."""
        if self._stream is None:
            self._stream = zlib.decompressobj(_window(part[0]))
        if self._stream.eof:
            if self._coding != "gzip":
                raise self._broken("more bytes after the stream's end")
            self._stream = zlib.decompressobj(_GZIP)
        piece = bytes(_PIECE)
        # After a full piece there may be more output, though no input is left.
        while not self._stream.eof and (part or len(piece) == _PIECE):
            try:
                piece = self._stream.decompress(part, _PIECE)
            except zlib.error as error:
                raise self._broken("a stream that cannot be inflated") from error
            yield piece
            part = self._stream.unconsumed_tail
        return self._stream.unused_data

    def _broken(self, got: str) -> RequestError:
        return RequestError(
            f"read {self._coding} body", got=got, expected="a complete one", remedy="Compress it again."
        )


def _window(first: int) -> int:
    """Chosen by the first byte: many clients send deflate without the zlib header that the specification requires."""
    return _ZLIB if first & 0x0F == 8 and first >> 4 <= 7 else _RAW
