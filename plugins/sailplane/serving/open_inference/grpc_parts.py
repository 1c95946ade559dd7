"""Converts a ModelInferRequest to a REST message: a short one whole, a long one some rows at a time.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sailplane.bundles.columns import shown
from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving.bodies.protobuf_pieces import LENGTH, NARROW, VARINT, WIDE, Span, parsed, pieces, split
from sailplane.serving.open_inference import binary
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import messages_pb2 as open_inference_pb2
from sailplane.serving.open_inference.parts import Tensor

# protobuf creates the classes at import, so type checkers do not see them.
messages: Any = open_inference_pb2
_NAMES: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_KINDS: Final = {"fp32_contents": NARROW, "fp64_contents": WIDE, "bytes_contents": LENGTH}
# Sizes read per shape. The protocol allows two, so the first eight are enough to refuse the rest.
_MOST_SIZES: Final = 8


def _numbers(message: Any, *names: str) -> tuple[int, ...]:
    return tuple(message.DESCRIPTOR.fields_by_name[name].number for name in names)


# The numbers of the fields that are read. Parameters are ignored.
_REQUEST: Final = _numbers(messages.ModelInferRequest, "model_name", "model_version", "id", "outputs")
_INPUTS, _RAW = _numbers(messages.ModelInferRequest, "inputs", "raw_input_contents")
_DESCRIBED: Final = _numbers(messages.ModelInferRequest.InferInputTensor, "name", "datatype", "shape")
[_CONTENTS] = _numbers(messages.ModelInferRequest.InferInputTensor, "contents")


def head(request: Any) -> dict[str, Any]:
    """The request without its tensors. Two outputs are enough to refuse the rest."""
    outputs = [{"name": output.name} for output in request.outputs[:2]]
    return {"outputs": outputs} | ({"id": request.id} if request.id else {})


def message(request: Any, inputs: Sequence[Field]) -> dict[str, Any]:
    open_inference.check_count(len(request.inputs), inputs)
    raw = request.raw_input_contents
    _check_raw(len(raw), len(request.inputs), [tensor.name for tensor in request.inputs if tensor.HasField("contents")])
    tensors = [_tensor(tensor, raw[index] if raw else None) for index, tensor in enumerate(request.inputs)]
    return head(request) | {"inputs": tensors}


class LongRequest:
    """`head`: the request without its tensors."""

    def __init__(self, body: bytes) -> None:
        rest, self._found = split(body, Span(0, len(body)), _REQUEST, (_INPUTS, _RAW), "request")
        self._body, self.head = body, parsed(messages.ModelInferRequest, rest)

    @property
    def raw(self) -> bool:
        return bool(self._found.get(_RAW))

    def tensors(self, inputs: Sequence[Field], most: int) -> list[Tensor]:
        """The tensors, each with some values at a time; raw ones with up to `most`."""
        spans, raw = self._found.get(_INPUTS, []), self._found.get(_RAW, [])
        open_inference.check_count(len(spans), inputs)
        read = [self._read(span) for span in spans]
        _check_raw(len(raw), len(read), [described["name"] for described, contents in read if contents])
        if not raw:
            return [Tensor(described, self._values(described, contents)) for described, contents in read]
        buffer = memoryview(self._body)
        return [
            Tensor(described, binary.chunks(described, buffer[start:end], most))
            for (described, _), (start, end) in zip(read, raw, strict=True)
        ]

    def _read(self, span: Span) -> tuple[dict[Any, Any], list[Span]]:
        """A tensor's description, and the spans of its contents."""
        rest, found = split(self._body, span, _DESCRIBED, (_CONTENTS,), "input")
        tensor = parsed(messages.ModelInferRequest.InferInputTensor, rest)
        return _described(tensor), found.get(_CONTENTS, [])

    def _values(self, described: Mapping[Any, Any], contents: Sequence[Span]) -> Iterator[list[Any]]:
        name = _NAMES.get(described["datatype"])
        if name is None:
            return
        [number], kind = _numbers(messages.InferTensorContents, name), _KINDS.get(name, VARINT)
        for piece in pieces(self._body, contents, number, kind, f"input {shown(described['name'])}"):
            yield _plain(getattr(parsed(messages.InferTensorContents, piece), name), described)


def _tensor(tensor: Any, raw: bytes | None) -> dict[Any, Any]:
    described = _described(tensor)
    if raw is not None:
        return {**described, "data": binary.values(described, raw)}
    name = _NAMES.get(tensor.datatype)
    return {**described, "data": _plain(getattr(tensor.contents, name), described) if name else []}


def _described(tensor: Any) -> dict[Any, Any]:
    shape = list(tensor.shape[:_MOST_SIZES])
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, binary.FILLED: True}


def _plain(values: Any, described: Mapping[Any, Any]) -> list[Any]:
    some = list(values)
    return binary.texts(some, described["name"]) if described["datatype"] == "BYTES" else some


def _check_raw(count: int, inputs: int, with_contents: Sequence[str]) -> None:
    """`count`: the number of raw contents. `with_contents`: the inputs that also have typed contents."""
    if count and count != inputs:
        expected = "one for each input, or none"
        raise RequestError("read raw_input_contents", got=f"{count} for {inputs} inputs", expected=expected)
    if count and with_contents:
        got = f"contents of input {shown(with_contents[0])} too"
        raise RequestError("read raw_input_contents", got=got, expected="only one of them")
