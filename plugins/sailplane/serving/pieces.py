"""JSON of many megabytes in pieces: a tree of Python's objects takes up to twenty times the memory of its text, and
while it is built no other thread runs.

msgspec checks the whole text, and says where each value of an object lies without reading it; the elements of a long
array are then read some at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from sailplane.errors import RequestError
from sailplane.registry.columns import shown
from sailplane.serving.json_body import parsed

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")
# Bytes of a message without its rows, and of one piece of the rows.
LONGEST: Final = 2**20
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT: Final = rb'[\[{](?:[^\[\]{}"]++|' + _STRING + rb")*+[\]}]"
# A scalar, or a list or object of scalars. The quantifiers are possessive: no text makes it look twice.
_ELEMENT: Final = rb"\s*+(?:" + _FLAT + rb"|" + _STRING + rb'|[^\s\[\]{},"]++)\s*+(?:,|\Z)'


def members(text: Buffer) -> dict[str, memoryview]:
    """The values of an object, each as it is written. Raises RequestError for a text that is no object in JSON."""
    return {name: memoryview(value) for name, value in located(text, dict[str, msgspec.Raw]).items()}


def located(text: Buffer, kind: type[T], which: str = "request") -> T:
    try:
        return _located(text, kind, which)
    except RecursionError as error:
        raise RequestError("read request", got="no valid JSON: it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "NaN and Infinity are none."
        raise RequestError("read request", got=f"no valid JSON: {_plain(error)}", remedy=remedy) from error


def _located(text: Buffer, kind: type[T], which: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        # It looks no further than the first value that is of another type.
        msgspec.json.decode(text, type=msgspec.Raw)
        raise RequestError("read", which, got=error, remedy="See /openapi.json for what is expected.") from error


def whole(text: memoryview, which: str) -> Any:
    """A value that is short; RequestError, a 413, for a long one."""
    if len(text) > LONGEST:
        got, limit = f"{len(text)} bytes", f"at most {LONGEST} bytes beside the rows"
        raise RequestError("read", which, status=413, got=got, expected=limit)
    return parsed(text)


def is_array(text: memoryview) -> bool:
    return bytes(text[:1]) == b"["


def is_object(text: memoryview) -> bool:
    return bytes(text[:1]) == b"{"


def elements(text: memoryview, most: int, which: str) -> Iterator[list[Any]]:
    """Cuts an array that is valid JSON into pieces of up to `most` elements. Raises RequestError for an element that
    nests deeper than a row does, or has more than LONGEST bytes."""
    inside, place, count = text[1:-1], 0, 0
    if not bytes(inside[:64]).strip() and not bytes(inside).strip():
        return
    while place < len(inside):
        end = _end(inside, place, most, f"{which}, number {count}")
        piece = bytes(inside[place:end]).rstrip().removesuffix(b",")
        read = parsed(b"[" + piece + b"]")
        place, count = end, count + len(read)
        yield read


def _end(text: memoryview, place: int, most: int, which: str) -> int:
    """The end of the next piece, which has fewer elements if they are long."""
    for count in (most, max(1, most // 16), 1):
        found = _some(count).match(text, place)
        if found is None:
            start = bytes(text[place : place + 60]).decode(errors="replace")
            raise RequestError("read", which, got=f"lists or objects within {shown(start)}", expected="plain values")
        size = found.end() - place
        if size <= LONGEST:
            return place + size
    raise RequestError("read", which, status=413, got=f"{size} bytes", expected=f"at most {LONGEST} bytes")


@cache
def _some(most: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:" + _ELEMENT + rb"){1,%d}+" % most, re.DOTALL)


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.DecodeError) else "bytes that are no UTF-8"
