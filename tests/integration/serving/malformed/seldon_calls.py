"""Calls of Seldon's own gRPC services that start from a valid call, and the ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import strategies as st

from sailplane.serving.seldon import messages_pb2 as messages
from tests.integration.serving.malformed.spoiled import NAMES
from tests.unit.bundles import tiny

ROW = list(tiny.RECORD.values())
Call = tuple[bytes, tuple[str, ...]]
WRONG: list[Any] = [None, True, 1.5, 1e39, "x", "", "é" * 500, [], [[]], {}, {"a": [1]}, float("nan"), "9999-99-99"]
SHAPES: list[list[int]] = [[], [0], [-1, 6], [1], [2, 6], [6, 1], [2**31 - 1, 2**31 - 1], [1] * 5000]


def value(held: Any) -> Any:
    if isinstance(held, float):  # ParseDict refuses NaN.
        return Value(number_value=held)
    return json_format.ParseDict(held, Value())


def row(values: list[Any]) -> bytes:
    return bytes(Value(list_value=ListValue(values=[value(one) for one in values])).SerializeToString())


def good() -> Any:
    meta = messages.Meta(puid="7", tags={"a": value([1, None])}).SerializeToString()
    return messages.SeldonMessage(data={"names": NAMES, "ndarray": {"values": [row(ROW), row(ROW)]}}, meta=meta)


def good_feedback() -> Any:
    truth = {"data": {"tensor": {"shape": [1], "values": [1.0]}}}
    return messages.Feedback(response={"meta": good().meta}, reward=1.0, truth=truth)


@st.composite
def spoiled_seldon_call(draw: st.DrawFn) -> Call:
    """Draws a SeldonMessage's bytes, and the names of which its refusal mentions one."""
    message = good()
    named = ACTS[draw(st.sampled_from(list(ACTS)))](draw, message)
    return message.SerializeToString(), named


@st.composite
def spoiled_seldon_bytes(draw: st.DrawFn) -> bytes:
    """Draws the bytes of a valid message or feedback with one change."""
    sound = draw(st.sampled_from([good(), good_feedback()])).SerializeToString()
    place = draw(st.integers(0, len(sound) - 1))
    put = draw(st.binary(min_size=1, max_size=8))
    return draw(
        st.sampled_from([sound[:place], sound[:place] + put + sound[place + len(put) :], put * 50, b"\n" * 999])
    )


def _value(draw: Any, message: Any) -> tuple[str, ...]:
    place, wrong = draw(st.integers(0, len(ROW) - 1)), draw(st.sampled_from(WRONG))
    message.data.ndarray.values[1] = row([*ROW[:place], wrong, *ROW[place + 1 :]])
    return (NAMES[place],)


def _row(draw: Any, message: Any) -> tuple[str, ...]:
    rows = [row(ROW[1:]), row([*ROW, 1]), row([]), b"", b"\xff", value("x").SerializeToString(), row([ROW])]
    message.data.ndarray.values[1] = draw(st.sampled_from(rows))
    return ("row 1", "Value")


def _names(draw: Any, message: Any) -> tuple[str, ...]:
    names = draw(st.sampled_from([NAMES[1:], [*NAMES, "typo"], ["é" * 500] * 6, NAMES[:5] * 2, [""] * 2000]))
    message.data.names[:] = names
    return ("names", *NAMES)


def _tensor(draw: Any, message: Any) -> tuple[str, ...]:
    shape, count = draw(st.sampled_from(SHAPES)), draw(st.sampled_from([0, 1, 6, 13]))
    message.data.tensor.CopyFrom(messages.Tensor(shape=shape, values=[1.0] * count))
    return ("tensor", "carrier", "distance", "row 0")


def _payload(draw: Any, message: Any) -> tuple[str, ...]:
    struct = Struct(fields={"distance": value("far")}).SerializeToString()
    payloads: list[dict[str, Any]] = [
        {"str_data": "x"},
        {"bin_data": b"x"},
        {"custom_data": b"x"},
        {"data": {"tftensor": b"x"}},
        {"data": {}},
        {"data": {"ndarray": {}}},
        {"json_data": {}},
        {"json_data": {"struct_value": b""}},
        {"json_data": {"struct_value": struct}},
        {"json_data": {"struct_value": b"\xff"}},
        {"json_data": {"list_value": {"values": [b"", b"\xff"]}}},
    ]
    message.CopyFrom(messages.SeldonMessage(**draw(st.sampled_from(payloads))))
    return ("data", "jsonData", "Struct", "Value", "wind")


def _meta(draw: Any, message: Any) -> tuple[str, ...]:
    message.meta = draw(st.sampled_from([b"\xff", b"\x0a\x02\xff\xff", b"\x12" * 50]))
    return ("Meta",)


ACTS: dict[str, Callable[[Any, Any], tuple[str, ...]]] = {
    "value": _value,
    "row": _row,
    "names": _names,
    "tensor": _tensor,
    "payload": _payload,
    "meta": _meta,
}
