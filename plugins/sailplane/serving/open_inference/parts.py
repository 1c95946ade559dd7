"""Reads a long request of the Open Inference Protocol, some rows of all its tensors at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import msgspec

from sailplane.bundles.columns import shown
from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving.bodies.json_pieces import LONGEST, Buffer, elements, first_of, is_array, members, whole
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.open_inference import binary
from sailplane.serving.open_inference import messages as open_inference

_HEAD: Final = ("id", "outputs", "parameters")
_DESCRIBED: Final = ("datatype", "shape", "parameters")


@dataclass
class Tensor:
    """A tensor. `described` has its name, datatype, shape and parameters; `values` yields pieces of any length."""

    described: dict[Any, Any]
    values: Iterator[list[Any]]

    @property
    def rows(self) -> int | None:
        """The rows of its shape; None for an invalid shape."""
        shape = self.described.get("shape")
        return shape[0] if isinstance(shape, list) and shape and type(shape[0]) is int else None

    def part(self, values: list[Any]) -> dict[Any, Any]:
        shape = self.described.get("shape")
        sized = {"shape": [len(values), *shape[1:]]} if isinstance(shape, list) and self.rows and values else {}
        return {**self.described, **sized, "data": values}


class _Written(msgspec.Struct):
    """A tensor whose values are not decoded yet."""

    name: str
    datatype: msgspec.Raw = msgspec.Raw(b"null")
    shape: msgspec.Raw = msgspec.Raw(b"null")
    parameters: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"null")


def split(
    text: Buffer, headers: Mapping[bytes, bytes], inputs: Sequence[Field], most: int
) -> tuple[dict[str, Any], Iterator[RowsPart]]:
    """The message without its tensors, and their rows, up to `most` at a time. Rows are checked when they are read."""
    length, raw = headers.get(binary.LENGTH), memoryview(b"")
    if length is not None:
        text, rest = binary.split(memoryview(text), length)
        raw = memoryview(rest)
    found = members(text, ("inputs", *_HEAD))
    head: dict[str, Any] = {name: whole(found[name], name) for name in _HEAD if name in found}
    given = found.get("inputs", memoryview(b"null"))
    if not is_array(given):
        open_inference.columns({**head, "inputs": whole(given, "inputs")}, inputs)
    written = first_of(given, _Written, open_inference.most_inputs(inputs) + 1, "inputs")
    open_inference.check_count(len(written), inputs)
    _check_described(written)
    tensors = list(_tensors(written, raw, most, binary_data=length is not None))
    return head, parts(head, tensors, inputs, most)


def parts(head: Mapping[str, Any], tensors: Sequence[Tensor], inputs: Sequence[Field], most: int) -> Iterator[RowsPart]:
    """The rows in parts. Raises RequestError if a tensor's rows differ from its shape or from another tensor's."""
    _check_rows(tensors)
    chunked = [_rechunked(tensor.values, most) for tensor in tensors]
    first, pieces = 0, [next(values) for values in chunked]
    while first == 0 or any(pieces):
        if len({len(piece) for piece in pieces}) > 1:
            for tensor, piece, rest in zip(tensors, pieces, chunked, strict=True):
                _check_count(tensor, first + len(piece) + sum(map(len, takewhile(len, rest))))
        message = {**head, "inputs": [tensor.part(piece) for tensor, piece in zip(tensors, pieces, strict=True)]}
        yield RowsPart(first, open_inference.columns(message, inputs))
        first += len(pieces[0])
        pieces = [next(values) for values in chunked]
    for tensor in tensors:
        _check_count(tensor, first)


def _tensors(written: list[_Written], raw: memoryview, most: int, *, binary_data: bool) -> Iterator[Tensor]:
    offset = 0
    for tensor in written:
        which = f"input {tensor.name[:60]!r}"
        described: dict[Any, Any] = {"name": tensor.name}
        for name in _DESCRIBED:
            described[name] = whole(memoryview(getattr(tensor, name)), f"{name} of {which}")
        size = binary.size(described) if binary_data else None
        if size is None:
            yield Tensor(described, _values(memoryview(tensor.data), most, which))
        else:
            binary.check_alone({**described, "data": None if bytes(tensor.data) == b"null" else tensor.data})
            described[binary.FILLED] = True
            yield Tensor(described, binary.chunks(described, binary.part(described, raw, offset, size), most))
            offset += size
    binary.check_all_read(raw, offset)


def _values(text: memoryview, most: int, which: str) -> Iterator[list[Any]]:
    if is_array(text):
        yield from map(open_inference.flat, elements(text, most, f"data of {which}"))
    elif (value := whole(text, f"data of {which}")) is not None:
        raise RequestError("read data of", which, got=shown(value), expected="a list")


def _rechunked(values: Iterator[list[Any]], most: int) -> Iterator[list[Any]]:
    """Lists of `most` values, then the rest, then empty lists forever."""
    held: list[Any] = []
    for piece in values:
        held += piece
        even = len(held) - len(held) % most
        for start in range(0, even, most):
            yield held[start : start + most]
        del held[:even]
    yield held
    while True:
        yield []


def _check_described(tensors: Sequence[_Written]) -> None:
    size = sum(len(memoryview(getattr(tensor, name))) for tensor in tensors for name in _DESCRIBED)
    if size > LONGEST:
        got, limit = f"{size} bytes", f"at most {LONGEST} bytes besides the data"
        raise RequestError("read inputs", status=413, got=got, expected=limit)


def _check_rows(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        if tensor.rows is not None and tensors[0].rows is not None and tensor.rows != tensors[0].rows:
            which, other = repr(tensor.described["name"]), tensors[0].described["name"]
            expected = f"{tensors[0].rows}, like {other!r}"
            raise RequestError("read input", which, got=f"{tensor.rows} rows", expected=expected)


def _check_count(tensor: Tensor, count: int) -> None:
    if tensor.rows is not None and tensor.rows != count:
        which, expected = f"input {tensor.described['name']!r}", f"{tensor.rows}, the rows of its shape"
        raise RequestError("read data of", which, got=f"{count} values", expected=expected)
