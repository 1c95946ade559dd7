"""The binary tensor data extension of the Open Inference Protocol: tensors as raw bytes after the JSON.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.bundles.columns import shown
from sailplane.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

Buffer = bytes | bytearray | memoryview
LENGTH: Final = b"inference-header-content-length"
_SIZE: Final = "binary_data_size"
# Marks tensors whose data were bytes; no JSON key equals it.
FILLED: Final = object()
_NUMPY: Final = {
    **{f"{sign}INT{bits}": f"<{kind}{bits // 8}" for sign, kind in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


def split(body: Buffer, length: bytes) -> tuple[Buffer, Buffer]:
    """The JSON and the bytes after it. `length`: the value of the header LENGTH."""
    # Python refuses to parse an int of thousands of digits.
    size = int(length) if length.isdigit() and len(length) < 20 else -1
    if not 0 <= size <= len(body):
        expected = f"a number of bytes, at most {len(body)}, the body's length"
        got = shown(length.decode("latin-1"))
        raise RequestError("read Inference-Header-Content-Length", got=got, expected=expected)
    return body[:size], body[size:]


def filled(message: Any, raw: Buffer) -> Any:
    """The message with the data of its binary tensors as lists."""
    tensors = message.get("inputs") if isinstance(message, Mapping) else None
    if not isinstance(tensors, list):
        return message
    offset, read = 0, []
    for tensor in tensors:
        length = size(tensor)
        if length is not None:
            check_alone(tensor)
            tensor = {**tensor, "data": values(tensor, part(tensor, raw, offset, length)), FILLED: True}
            offset += length
        read.append(tensor)
    check_all_read(raw, offset)
    return {**message, "inputs": read}


def part(tensor: Mapping[str, Any], raw: Buffer, offset: int, length: int) -> Buffer:
    """The bytes of one tensor. Raises RequestError if there are too few."""
    found = raw[offset : offset + length]
    if len(found) < length:
        raise RequestError("read binary data of", _which(tensor), got=f"{len(found)} bytes", expected=length)
    return found


def check_all_read(raw: Buffer, offset: int) -> None:
    """Raises RequestError if bytes are left after the last tensor."""
    if offset != len(raw):
        got = f"{len(raw)} bytes after the JSON"
        raise RequestError("read binary data", got=got, expected=f"{offset}, the sum of the inputs' {_SIZE}")


def chunks(tensor: Mapping[str, Any], raw: Buffer, most: int) -> Iterator[list[Any]]:
    """Like `values`, but yields up to `most` values at a time."""
    import numpy as np

    datatype = tensor.get("datatype")
    if datatype == "BYTES":
        pieces = _pieces(raw, _which(tensor))
        while some := list(islice(pieces, most)):
            yield texts(some, tensor.get("name"))
        return
    kind = _NUMPY.get(datatype) if isinstance(datatype, str) else None
    width = np.dtype(kind).itemsize if kind else 0
    if not width or len(raw) % width:
        values(tensor, raw)
    for offset in range(0, len(raw), most * width):
        yield values(tensor, raw[offset : offset + most * width])


def values(tensor: Mapping[str, Any], raw: Buffer) -> list[Any]:
    """The values in the bytes, by the tensor's datatype."""
    import numpy as np

    datatype = tensor.get("datatype")
    if datatype == "BYTES":
        return texts(list(_pieces(raw, _which(tensor))), tensor.get("name"))
    kind = _NUMPY.get(datatype) if isinstance(datatype, str) else None
    if kind is None:
        expected = f"BYTES, {', '.join(_NUMPY)}"
        raise RequestError("read datatype of", _which(tensor), got=shown(datatype), expected=expected)
    if len(raw) % np.dtype(kind).itemsize:
        expected = f"a multiple of {np.dtype(kind).itemsize} for {datatype}"
        raise RequestError("read binary data of", _which(tensor), got=f"{len(raw)} bytes", expected=expected)
    return list(np.frombuffer(raw, dtype=kind).tolist())


def texts(pieces: Sequence[bytes], name: object) -> list[str]:
    try:
        return [piece.decode() for piece in pieces]
    except UnicodeDecodeError as error:
        which = _which({"name": name})
        raise RequestError("read binary data of", which, got="bytes that are not UTF-8", expected="text") from error


def wanted(message: Mapping[str, Any]) -> bool:
    """Whether the request wants the output as bytes."""
    as_bytes = _flag(message, "the request", "binary_data_output")
    for output in message.get("outputs") or []:
        as_bytes = _flag(output, f"output {output['name']!r}", "binary_data", otherwise=as_bytes)
    return as_bytes


def joined(answer: dict[str, Any], scores: np.ndarray) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """The body and its headers. The output's data, float32 [n, outputs], follows the JSON."""
    raw = scores.astype("<f4").tobytes()
    [output] = answer["outputs"]
    described = {name: value for name, value in output.items() if name != "data"} | {"parameters": {_SIZE: len(raw)}}
    head = orjson.dumps({**answer, "outputs": [described]}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = ((b"content-type", b"application/octet-stream"), (LENGTH, str(len(head)).encode()))
    return head + raw, headers


def parameters(part: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    """The parameters of the request, an input or an output."""
    found = part.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise RequestError("read parameters of", which, got=shown(found), expected="an object")
    return found


def _flag(part: Mapping[str, Any], which: str, name: str, *, otherwise: bool = False) -> bool:
    flag = parameters(part, which).get(name)
    if flag is not None and not isinstance(flag, bool):
        raise RequestError(f"read {name} of", which, got=shown(flag), expected="true or false")
    return otherwise if flag is None else flag


def size(tensor: object) -> int | None:
    if not isinstance(tensor, Mapping):
        return None
    found = parameters(tensor, _which(tensor)).get(_SIZE)
    if found is None:
        return None
    if type(found) is not int or found < 0:
        raise RequestError(f"read {_SIZE} of", _which(tensor), got=shown(found), expected="a number of bytes")
    return found


def check_alone(tensor: Mapping[str, Any]) -> None:
    if tensor.get("data") is not None:
        raise RequestError("read", _which(tensor), got=f"data and {_SIZE}", expected="only one of them")


def _which(tensor: Mapping[str, Any]) -> str:
    return f"input {shown(tensor.get('name'))}"


def _pieces(raw: Buffer, which: str) -> Iterator[bytes]:
    """Strings, each preceded by its length in 4 bytes, little-endian."""
    offset = 0
    while offset < len(raw):
        start = offset + 4
        offset = start + int.from_bytes(raw[offset:start], "little")
        if start > len(raw) or offset > len(raw):
            raise RequestError("read binary data of", which, got="a string that ends after the data")
        yield bytes(raw[start:offset])
