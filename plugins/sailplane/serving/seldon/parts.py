"""Reads a long request in Seldon's protocol, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving.bodies.json_pieces import Buffer, elements, is_array, is_object, members, whole
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.seldon import messages as seldon

Payload = Mapping[str, Any]
_PAYLOADS: Final = ("data", "jsonData")
_ROWS: Final = ("ndarray", "tensor")


def split(
    text: Buffer, _headers: Mapping[bytes, bytes], inputs: Sequence[Field], most: int
) -> tuple[dict[str, Any], Iterator[RowsPart]]:
    """The message without its rows, and the rows, up to `most` at a time. Rows are checked when they are read."""
    found = members(text, ("meta", *_PAYLOADS), only="either data or jsonData")
    head = {"meta": whole(found["meta"], "meta")} if "meta" in found else {}
    payloads = [name for name in _PAYLOADS if name in found]
    if len(payloads) != 1:
        seldon.columns(head | dict.fromkeys(payloads), inputs)
    if payloads == ["jsonData"]:
        return head, parts(head, _records(found["jsonData"], most), inputs)
    data = members(found["data"], ("names", *_ROWS), "data") if is_object(found["data"]) else {}
    read = _data(found["data"], data, most)
    return {**head, "data": {"tensor": None} if "tensor" in data else {}}, parts(head, read, inputs)


def parts(head: Payload, payloads: Iterator[tuple[int, Payload]], inputs: Sequence[Field]) -> Iterator[RowsPart]:
    """The rows in parts. `payloads` yields the number of rows and the message with them."""
    first = 0
    for count, payload in payloads:
        yield RowsPart(first, seldon.columns({**head, **payload}, inputs, first))
        first += count


def rows_of_tensor(shape: Any, values: Iterator[list[Any]]) -> Iterator[tuple[int, Payload]]:
    """The rows in parts. Raises RequestError at the end if the number of values differs from the shape."""
    sized = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)
    width, total, rest = shape[1] if sized else 0, 0, list[Any]()
    for piece in values if sized else ():
        rest += piece
        total += len(piece)
        if count := len(rest) // width:
            yield count, {"tensor": {"shape": [count, width], "values": rest[: count * width]}}
            del rest[: count * width]
    if not sized:
        yield 0, {"tensor": {"shape": shape, "values": None}}
    elif total != shape[0] * width:
        expected = f"{shape[0] * width} values for its shape"
        raise RequestError("read data.tensor.values", got=f"{total} values", expected=expected)


def _records(text: memoryview, most: int) -> Iterator[tuple[int, Payload]]:
    if not is_array(text):
        yield 1, {"jsonData": whole(text, "jsonData")}
        return
    count = 0
    for records in elements(text, most, "jsonData"):
        yield len(records), {"jsonData": records}
        count += len(records)
    if not count:
        yield 0, {"jsonData": []}


def _data(text: memoryview, found: Mapping[str, memoryview], most: int) -> Iterator[tuple[int, Payload]]:
    if not is_object(text):
        yield 0, {"data": whole(text, "data")}
        return
    named = {"names": whole(found["names"], "data.names")} if "names" in found else {}
    given = [name for name in _ROWS if name in found]
    if not given:
        members(text, ("names", *_ROWS), "data", only="an object with ndarray or tensor")
    if len(given) != 1:
        yield 0, {"data": dict.fromkeys(found)}
    for count, rows in _rows(found, most) if len(given) == 1 else ():
        yield count, {"data": {**named, **rows}}


def _rows(found: Mapping[str, memoryview], most: int) -> Iterator[tuple[int, Payload]]:
    if "tensor" in found:
        yield from _tensor(found["tensor"], most)
    elif not is_array(found["ndarray"]):
        yield 0, {"ndarray": whole(found["ndarray"], "data.ndarray")}
    else:
        count = 0
        for rows in elements(found["ndarray"], most, "data.ndarray"):
            yield len(rows), {"ndarray": rows}
            count += len(rows)
        if not count:
            yield 0, {"ndarray": []}


def _tensor(text: memoryview, most: int) -> Iterator[tuple[int, Payload]]:
    found = members(text, ("shape", "values"), "data.tensor") if is_object(text) else {}
    shape = whole(found["shape"], "data.tensor.shape") if "shape" in found else None
    values = found.get("values", memoryview(b"null"))
    if is_array(values):
        yield from rows_of_tensor(shape, elements(values, 16 * most, "data.tensor.values"))
    else:
        yield 0, {"tensor": {"shape": shape, "values": whole(values, "data.tensor.values")}}
