"""gRPC calls that start from a valid call, and the ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.integration.serving.test_grpc import CONTENTS, inference
from tests.unit.bundles import tiny

NAMES = [field.name for field in tiny.INPUTS]
KINDS = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
Call = tuple[bytes, tuple[str, ...]]
MODELS = ["", "other", "FLIGHTS", "flights/", "flights\0", "é" * 500, "../flights", "a" * 5000]
DATATYPES = ["", "FP7", "fp64", "BYTES", "BOOL", "FP16", "INT8", "UINT64", "é", "x" * 5000]
SHAPES: list[list[int]] = [[], [0], [-1], [2], [2**62], [-(2**63)], [1, 2], [1, 1, 1], [0, 0], [3, 0], [1] * 100]
TEXTS = [b"", b"\xff", b"\0", b"x", b"UA" * 5000, "é".encode("latin-1")]


@st.composite
def spoiled_call(draw: st.DrawFn) -> Call:
    """Draws a message's bytes, and the names of which its refusal mentions one."""
    message = inference([tiny.RECORD])
    if draw(st.booleans()):
        as_raw(message)
    tensor = draw(st.sampled_from(list(message.inputs)))
    act = draw(st.sampled_from(list(ACTS)))
    named = ACTS[act](draw, message, tensor)
    return message.SerializeToString(), named


@st.composite
def spoiled_bytes(draw: st.DrawFn) -> Call:
    """Spoils bytes of a valid message; nobody knows what it means afterwards."""
    good = inference([tiny.RECORD]).SerializeToString()
    place = draw(st.integers(0, len(good) - 1))
    put = draw(st.binary(min_size=1, max_size=8))
    return draw(st.sampled_from([good[:place], good[:place] + put + good[place + len(put) :], put * 50])), ()


def as_raw(message: Any) -> None:
    for tensor in message.inputs:
        [value] = getattr(tensor.contents, CONTENTS[tensor.datatype])
        text = isinstance(value, bytes)
        raw = len(value).to_bytes(4, "little") + value if text else np.array([value], KINDS[tensor.datatype]).tobytes()
        message.raw_input_contents.append(raw)
        tensor.ClearField("contents")


def _model(draw: Any, message: Any, _tensor: Any) -> tuple[str, ...]:
    message.model_name = draw(st.sampled_from(MODELS))
    return ("find model",)


def _version(draw: Any, message: Any, _tensor: Any) -> tuple[str, ...]:
    message.model_version = draw(st.sampled_from(MODELS[1:]))
    return ("find model",)


def _name(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    was, tensor.name = tensor.name, draw(st.sampled_from(["", "typo", *NAMES, "é" * 500]))
    return (was, tensor.name)


def _datatype(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    tensor.datatype = draw(st.sampled_from(DATATYPES))
    return (tensor.name,)


def _shape(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    del tensor.shape[:]
    tensor.shape.extend(draw(st.sampled_from(SHAPES)))
    return (tensor.name,)


def _contents(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    tensor.ClearField("contents")
    kind = draw(st.sampled_from(["fp64_contents", "fp32_contents", "int64_contents", "bytes_contents"]))
    values = TEXTS if kind == "bytes_contents" else [0, 2**40] if kind == "int64_contents" else [1e39, float("nan")]
    getattr(tensor.contents, kind).extend(draw(st.lists(st.sampled_from(values), max_size=2)))
    return (tensor.name,)


def _raw(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    if not message.raw_input_contents:
        as_raw(message)
    place = draw(st.integers(0, len(NAMES) - 1))
    message.raw_input_contents[place] = draw(st.binary(max_size=12))
    return (NAMES[place],)


def _raws(draw: Any, message: Any, _tensor: Any) -> tuple[str, ...]:
    message.raw_input_contents.extend(draw(st.lists(st.binary(max_size=9), min_size=1, max_size=7)))
    return ("raw_input_contents", *NAMES)


def _inputs(draw: Any, message: Any, tensor: Any) -> tuple[str, ...]:
    if draw(st.booleans()):
        message.inputs.append(tensor)
    else:
        message.inputs.remove(tensor)
    return (tensor.name, "raw_input_contents")


def _outputs(draw: Any, message: Any, _tensor: Any) -> tuple[str, ...]:
    for name in draw(st.lists(st.sampled_from(["probability", "nothing", ""]), min_size=1, max_size=3)):
        message.outputs.add(name=name)
    return ("outputs",)


ACTS: dict[str, Callable[[Any, Any, Any], tuple[str, ...]]] = {
    "model": _model,
    "version": _version,
    "name": _name,
    "datatype": _datatype,
    "shape": _shape,
    "contents": _contents,
    "raw": _raw,
    "raws": _raws,
    "inputs": _inputs,
    "outputs": _outputs,
}
