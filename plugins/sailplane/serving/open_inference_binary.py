"""The binary tensor data extension of the Open Inference Protocol: tensors as raw bytes behind the JSON.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

LENGTH: Final = b"inference-header-content-length"
_SIZE: Final = "binary_data_size"
_NUMPY: Final = {
    **{f"{sign}INT{bits}": f"<{kind}{bits // 8}" for sign, kind in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


def split(body: bytes, length: bytes) -> tuple[bytes, bytes]:
    """The JSON, and what follows it. `length`: the value of the header LENGTH."""
    if not length.isdigit() or int(length) > len(body):
        expected = f"a number of bytes, at most the body's {len(body)}"
        raise RequestError("read Inference-Header-Content-Length", got=repr(length)[1:60], expected=expected)
    return body[: int(length)], body[int(length) :]


def filled(message: Any, raw: bytes) -> Any:
    """The message with the data of its binary tensors as lists."""
    tensors = message.get("inputs") if isinstance(message, Mapping) else None
    if not isinstance(tensors, list):
        return message
    place, read = 0, []
    for tensor in tensors:
        size = _size(tensor)
        if size is not None:
            part = raw[place : place + size]
            if len(part) < size:
                raise RequestError("read binary data of", _which(tensor), got=f"{len(part)} bytes", expected=size)
            tensor = {**tensor, "data": values(tensor, part)}
            place += size
        read.append(tensor)
    if place != len(raw):
        got = f"{len(raw)} bytes after the JSON"
        raise RequestError("read binary data", got=got, expected=f"{place}, the sum of the inputs' {_SIZE}")
    return {**message, "inputs": read}


def values(tensor: Mapping[str, Any], raw: bytes) -> list[Any]:
    """All that the bytes hold, by the tensor's datatype."""
    import numpy as np

    datatype = tensor.get("datatype")
    if datatype == "BYTES":
        return texts(list(_pieces(raw, _which(tensor))), tensor.get("name"))
    kind = _NUMPY.get(datatype) if isinstance(datatype, str) else None
    if kind is None:
        expected = f"BYTES, {', '.join(_NUMPY)}"
        raise RequestError("read datatype of", _which(tensor), got=repr(datatype)[:60], expected=expected)
    if len(raw) % np.dtype(kind).itemsize:
        expected = f"a multiple of {np.dtype(kind).itemsize}, as {datatype} is"
        raise RequestError("read binary data of", _which(tensor), got=f"{len(raw)} bytes", expected=expected)
    return list(np.frombuffer(raw, dtype=kind).tolist())


def texts(pieces: Sequence[bytes], name: object) -> list[str]:
    try:
        return [piece.decode() for piece in pieces]
    except UnicodeDecodeError as error:
        which = _which({"name": name})
        raise RequestError("read binary data of", which, got="bytes that are no UTF-8", expected="text") from error


def wanted(message: Mapping[str, Any]) -> bool:
    """Whether the request asks for the output's data as bytes."""
    outputs = message.get("outputs") or [{}]
    asked = _parameters(outputs[0]).get("binary_data")
    return bool(_parameters(message).get("binary_data_output") if asked is None else asked)


def joined(answer: dict[str, Any], scores: np.ndarray) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """The body with the one output's data, float32 [n, outputs], behind the JSON; and the headers that say so."""
    raw = scores.astype("<f4").tobytes()
    [output] = answer["outputs"]
    described = {name: value for name, value in output.items() if name != "data"} | {"parameters": {_SIZE: len(raw)}}
    head = orjson.dumps({**answer, "outputs": [described]}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = ((b"content-type", b"application/octet-stream"), (LENGTH, str(len(head)).encode()))
    return head + raw, headers


def _parameters(part: object) -> Mapping[str, Any]:
    found = part.get("parameters") if isinstance(part, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _size(tensor: object) -> int | None:
    size = _parameters(tensor).get(_SIZE)
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise RequestError(f"read {_SIZE}", got=repr(size)[:60], expected="a number of bytes")
    return size


def _which(tensor: Mapping[str, Any]) -> str:
    return f"input {tensor.get('name')!r}"[:80]


def _pieces(raw: bytes, which: str) -> Iterator[bytes]:
    """Each with its length, 4 bytes, the lowest first, before it."""
    place = 0
    while place < len(raw):
        start = place + 4
        place = start + int.from_bytes(raw[place:start], "little")
        if start > len(raw) or place > len(raw):
            raise RequestError("read binary data of", which, got="a string that ends after the data")
        yield raw[start:place]
