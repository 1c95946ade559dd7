"""Reads protobuf messages of many megabytes in pieces: a parsed message takes up to 120 times its bytes, and parsing it
blocks all other threads.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from sailplane.errors import RequestError

# Wire types.
VARINT, WIDE, LENGTH, NARROW = 0, 1, 2, 5
_WIDTHS: Final = {WIDE: 8, NARROW: 4}
_LONGEST_VARINT: Final = 10
# The most fields of one message, and the most of its bytes that are kept.
_MOST_FIELDS: Final = 10_000
_MOST_KEPT: Final = 64 * 2**10
# Approximate bytes per piece; a multiple of all widths.
_PIECE: Final = 64 * 2**10


class Span(NamedTuple):
    start: int
    end: int


# One field of a message: number, wire type, start of the tag, start of the value, end.
Item = tuple[int, int, int, int, int]


def parsed(kind: type[Message], body: bytes) -> Any:
    """Parses a message. Raises RequestError for broken bytes, which grpc would report as an internal error."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestError("read request", got=f"an invalid {kind.DESCRIPTOR.name}: its bytes are broken") from error


def items(body: bytes, span: Span) -> Iterator[Item]:
    """The fields in `span`. Raises RequestError for broken bytes. Groups are obsolete and count as broken."""
    offset, limit = span
    while offset < limit:
        start = offset
        tag, offset = _varint(body, offset, limit)
        kind = tag & 7
        value = offset
        if kind == LENGTH:
            size, value = _varint(body, offset, limit)
            offset = value + size
        elif kind == VARINT:
            offset = _varint(body, offset, limit)[1]
        else:
            offset += _WIDTHS.get(kind, limit)
        if offset > limit:
            raise _broken()
        yield tag >> 3, kind, start, value, offset


def split(
    body: bytes, span: Span, kept: Collection[int], separate: Collection[int], which: str
) -> tuple[bytes, Mapping[int, list[Span]]]:
    """A message with only the fields `kept`, and the spans of the fields `separate`. Other fields are skipped."""
    rest, found = bytearray(), defaultdict[int, list[Span]](list)
    for count, (number, kind, start, value, end) in enumerate(items(body, span)):
        if count == _MOST_FIELDS:
            raise _too_much(which, f"more than {_MOST_FIELDS} fields")
        if number in separate and kind == LENGTH:
            found[number].append(Span(value, end))
        elif number in kept:
            if len(rest) + end - start > _MOST_KEPT:
                raise _too_much(which, f"more than {_MOST_KEPT} bytes besides the data")
            rest += body[start:end]
    return bytes(rest), found


def pieces(body: bytes, spans: Sequence[Span], number: int, kind: int, which: str) -> Iterator[bytes]:
    """Splits the repeated field `number` of the message in `spans` into messages with some of its values each. `kind`:
    the wire type of one value."""
    others = 0
    for span in spans:
        first = span.start
        for found, wire, start, value, end in items(body, span):
            packed = wire == LENGTH != kind
            if found != number or (wire != kind and not packed) or (packed and value == end):
                others += 1
                if others > _MOST_FIELDS:
                    raise _too_much(which, f"more than {_MOST_FIELDS} fields without values")
            elif packed and end - value > _PIECE:
                yield body[first:start]
                yield from _packed(body, Span(value, end), number, kind)
                first = end
                continue
            if end - first > _PIECE:
                yield body[first:end]
                first = end
        yield body[first : span.end]


def _packed(body: bytes, span: Span, number: int, kind: int) -> Iterator[bytes]:
    """Splits packed values; no piece ends within a value."""
    offset, tag = span.start, _encoded(number << 3 | LENGTH)
    while offset < span.end:
        end = min(offset + _PIECE, span.end)
        longest = min(end + _LONGEST_VARINT, span.end)
        while kind == VARINT and end < longest and body[end - 1] > 127:
            end += 1
        yield tag + _encoded(end - offset) + body[offset:end]
        offset = end


def _varint(body: bytes, offset: int, limit: int) -> tuple[int, int]:
    """The number and its end."""
    if offset < limit and body[offset] < 128:
        return body[offset], offset + 1
    found = 0
    for count, byte in enumerate(body[offset : min(offset + _LONGEST_VARINT, limit)]):
        found |= (byte & 127) << 7 * count
        if byte < 128:
            return found, offset + count + 1
    raise _broken()


def _encoded(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _broken() -> RequestError:
    return RequestError("read request", got="an invalid message: its bytes are broken")


def _too_much(which: str, got: str) -> RequestError:
    return RequestError("read", which, status=413, got=got, remedy="Send only the protocol's fields.")
