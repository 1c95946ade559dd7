"""Reads many megabytes of JSON in pieces: a tree of Python objects takes up to twenty times the memory of its text, and
building it blocks all other threads.

msgspec checks the whole text and locates each value of an object without decoding it. The elements of a long array are
then decoded some at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from sailplane.bundles.columns import shown
from sailplane.errors import RequestError
from sailplane.serving.bodies.json import parsed

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
# The most bytes of a message without its rows, and of one piece of the rows.
LONGEST: Final = 2**20
# The most characters of msgspec's error message.
_LONGEST_ERROR: Final = 200
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT: Final = rb'[\[{](?:[^\[\]{}"]++|' + _STRING + rb")*+[\]}]"
# A scalar, or a list or object of scalars. The quantifiers are possessive, so it never backtracks.
_ELEMENT: Final = rb"\s*+(?:" + _FLAT + rb"|" + _STRING + rb'|[^\s\[\]{},"]++)\s*+'
_WITH_COMMA: Final = _ELEMENT + b","
_LAST_TOO: Final = _ELEMENT + rb"(?:,|\Z)"


def members(
    text: Buffer, names: tuple[str, ...], which: str = "request", *, only: str | None = None
) -> dict[str, memoryview]:
    """The members of an object with these names, undecoded. Other members are skipped, or refused with `only`, which is
    the expected text of the error. Raises RequestError for text that is not a JSON object."""
    found = located(text, _object(names, strict=only is not None), which, only)
    given = ((name, getattr(found, name)) for name in names)
    return {name: memoryview(value) for name, value in given if value is not msgspec.UNSET}


@cache
def _object(names: tuple[str, ...], *, strict: bool) -> type[msgspec.Struct]:
    fields = [(name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for name in names]
    return msgspec.defstruct("Object", fields, forbid_unknown_fields=strict)


def first_of(text: Buffer, kind: type[S], most: int, which: str) -> list[S]:
    """The first `most` elements of an array."""
    array = located(text, _array(kind, most), which)
    elements = (getattr(array, name) for name in array.__struct_fields__)
    return [element for element in elements if element is not msgspec.UNSET]


@cache
def _array(kind: type[msgspec.Struct], most: int) -> type[msgspec.Struct]:
    fields = [(f"number_{index}", kind | msgspec.UnsetType, msgspec.UNSET) for index in range(most)]
    return msgspec.defstruct("Array", fields, array_like=True)


def located(text: Buffer, kind: type[T], which: str = "request", expected: str | None = None) -> T:
    try:
        return _located(text, kind, which, expected)
    except RecursionError as error:
        raise RequestError("read request", got="invalid JSON: it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "NaN and Infinity are not JSON."
        raise RequestError("read request", got=f"invalid JSON: {_plain(error)}", remedy=remedy) from error


def _located(text: Buffer, kind: type[T], which: str, expected: str | None) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        # msgspec stops at the first value of a wrong type, so check the rest of the text.
        msgspec.json.decode(text, type=msgspec.Raw)
        got, remedy = str(error)[:_LONGEST_ERROR], "See /openapi.json for the expected format."
        raise RequestError("read", which, got=got, expected=expected, remedy=remedy) from error


def whole(text: memoryview, which: str) -> Any:
    """Decodes a short value. Raises RequestError (413) for a long one."""
    if len(text) > LONGEST:
        got, limit = f"{len(text)} bytes", f"at most {LONGEST} bytes besides the rows"
        raise RequestError("read", which, status=413, got=got, expected=limit)
    return parsed(text)


def is_array(text: memoryview) -> bool:
    return bytes(text[:1]) == b"["


def is_object(text: memoryview) -> bool:
    return bytes(text[:1]) == b"{"


def elements(text: memoryview, most: int, which: str) -> Iterator[list[Any]]:
    """Splits an array of valid JSON into pieces of up to `most` elements. Raises RequestError for an element that is
    nested deeper than a row, or longer than LONGEST bytes."""
    inside, offset, count = text[1:-1], 0, 0
    if not bytes(inside[:64]).strip() and not bytes(inside).strip():
        return
    while offset < len(inside):
        end = _end(inside, offset, most, f"{which}, number {count}")
        piece = bytes(inside[offset:end]).rstrip().removesuffix(b",")
        read = parsed(b"[" + piece + b"]")
        offset, count = end, count + len(read)
        yield read


def _end(text: memoryview, offset: int, most: int, which: str) -> int:
    """The end of the next piece, which has fewer elements if they are long. Reads at most LONGEST bytes; otherwise long
    elements would be read again for each piece."""
    limit = offset + LONGEST
    found = _repeated(_WITH_COMMA if limit < len(text) else _LAST_TOO, most).match(text, offset, limit)
    if found is None:
        raise _refused(text, offset, which)
    return found.end()


def _refused(text: memoryview, offset: int, which: str) -> RequestError:
    found = _repeated(_LAST_TOO, 1).match(text, offset)
    if found is None:
        start = bytes(text[offset : offset + 60]).decode(errors="replace")
        return RequestError("read", which, got=f"lists or objects within {shown(start)}", expected="plain values")
    size = found.end() - offset
    return RequestError("read", which, status=413, got=f"{size} bytes", expected=f"at most {LONGEST} bytes")


@cache
def _repeated(element: bytes, most: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:" + element + rb"){1,%d}+" % most, re.DOTALL)


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.DecodeError) else "bytes that are not UTF-8"
