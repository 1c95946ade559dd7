"""Calls over gRPC are read in parts. The parts are those of the whole message in any arrangement of its bytes."""

from __future__ import annotations

import asyncio
import random
import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sailplane.bundles.bundle import Bundle
from sailplane.errors import RequestError
from sailplane.serving.grpc_server import Call
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.open_inference import messages_pb2 as open_inference_pb2
from sailplane.serving.open_inference.binary import FILLED
from sailplane.serving.open_inference.grpc import OpenInferenceMethods
from sailplane.serving.open_inference.grpc_parts import LongRequest, message
from sailplane.serving.scorer import Scorer
from tests.executed import lines
from tests.unit.bundles import tiny

messages: Any = open_inference_pb2
MOST = 3
# The number of each field of InferTensorContents, the encoding of a value, and some values.
CONTENTS: dict[str, tuple[int, int, Any]] = {
    "BOOL": (1, 0, [0, 1]),
    "INT32": (2, 0, [0, 1, 127, 128, 2**31 - 1, 2**64 - 1]),
    "INT64": (3, 0, [0, 300, 2**63 - 1, 2**64 - 1]),
    "UINT32": (4, 0, [0, 5, 2**32 - 1]),
    "UINT64": (5, 0, [0, 5, 2**64 - 1]),
    "FP32": (6, 5, [0.5, -1.0]),
    "FP64": (7, 1, [0.25, 1e300]),
    "BYTES": (8, 2, ["", "UA", "x" * 200]),
}


def varint(number: int) -> bytes:
    low = b""
    while number > 127:
        low, number = low + bytes([number & 127 | 128]), number >> 7
    return low + bytes([number])


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def plain(kind: int, value: Any) -> bytes:
    if kind == 2:
        return varint(len(value)) + value.encode()
    return varint(value) if kind == 0 else struct.pack("<f" if kind == 5 else "<d", value)


def contents(datatype: str, values: list[Any], *, packed: bool) -> bytes:
    number, kind, _ = CONTENTS[datatype]
    written = [plain(kind, value) for value in values]
    if packed and kind != 2:
        return field(number, b"".join(written))
    return b"".join(varint(number << 3 | kind) + value for value in written)


def tensor(name: str, datatype: str, *parts: bytes, rows: int = 1, rest: bytes = b"") -> bytes:
    """Returns `parts` of contents, which the specification merges."""
    shape = field(3, varint(rows))
    return field(5, field(1, name.encode()) + field(2, datatype.encode()) + shape + rest + b"".join(parts))


def in_parts(body: bytes, most: int = MOST) -> list[dict[Any, Any]]:
    tensors = LongRequest(body).tensors(tiny.INPUTS, most)
    return [{**one.described, "data": [value for piece in one.values for value in piece]} for one in tensors]


def whole(body: bytes) -> list[dict[Any, Any]]:
    found: list[dict[Any, Any]] = message(messages.ModelInferRequest.FromString(body), tiny.INPUTS)["inputs"]
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_tensors_in_parts_are_those_of_the_message(data: st.DataObject) -> None:
    body = field(1, b"flights")
    for name in data.draw(st.lists(st.sampled_from(["a", "b", "ü"]), max_size=3)):
        datatype = data.draw(st.sampled_from([*CONTENTS, "FP16"]))
        choices = CONTENTS.get(datatype, CONTENTS["BOOL"])[2]
        runs = data.draw(st.lists(st.tuples(st.lists(st.sampled_from(choices), max_size=5), st.booleans()), max_size=3))
        kind = datatype if datatype in CONTENTS else "BOOL"
        parts = [contents(kind, values, packed=packed) for values, packed in runs]
        # Unknown fields, and contents of another type.
        odd = data.draw(st.sampled_from([b"", field(15, b"x"), varint(14 << 3) + b"\1", field(2, b"\1")]))
        joined = [field(5, b"".join(parts) + odd)] if data.draw(st.booleans()) else [field(5, part) for part in parts]
        body += tensor(name, datatype, *joined, rest=odd if odd[:1] != b"\x12" else b"")
    assert in_parts(body) == whole(body)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("datatype", CONTENTS)
def test_many_values_are_whole_wherever_a_piece_ends(datatype: str, packed: bool) -> None:
    values = random.Random(1).choices(CONTENTS[datatype][2], k=50_000)
    body = tensor("a", datatype, field(5, contents(datatype, values, packed=packed)))
    assert in_parts(body) == whole(body)


def test_raw_tensors_in_parts_are_those_of_the_message() -> None:
    raw = [struct.pack("<7d", *range(7)), b"".join(struct.pack("<I", 2) + b"UA" for _ in range(7))]
    body = tensor("a", "FP64") + tensor("b", "BYTES") + field(7, raw[0]) + field(7, raw[1])
    assert in_parts(body) == whole(body)
    assert in_parts(body)[1]["data"] == ["UA"] * 7


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.booleans())
def test_bytes_that_are_broken_are_read_or_refused(given_bytes: bytes, inside: bool) -> None:
    body = tensor("a", "INT64", field(5, given_bytes)) if inside else given_bytes
    with suppress(RequestError):
        assert all(one[FILLED] for one in in_parts(body))


HEAD = field(1, b"flights")
FEW, MANY = 20_000, 500_000
HOSTILE = {
    "inputs": (field(5, b"") * MANY, "fields"),
    "some inputs": (field(5, b"") * 8_000 + field(4, bytes(60_000)), "at least 13 of them; expected at most 6"),
    "outputs": (field(6, b"") * MANY, "fields"),
    "raw contents": (field(7, b"") * MANY, "fields"),
    "parameters": (b"".join(field(4, field(1, b"%d" % number)) for number in range(100_000)), "fields"),
    "sizes": (tensor("distance", "FP64", rest=field(3, bytes(MANY))), "besides the data"),
    "parameters of an input": (tensor("distance", "FP64", rest=field(4, b"") * MANY), "fields"),
    "contents of another type": (tensor("distance", "FP64", field(5, (b"\x08\1") * MANY)), "without values"),
    "contents without end": (tensor("distance", "INT64", field(5, field(3, b"\xff" * MANY))), "bytes are broken"),
    "a long model name": (field(1, b"x" * MANY), "besides the data"),
}


@pytest.fixture(scope="module")
def methods(bundle: Bundle) -> OpenInferenceMethods:
    return OpenInferenceMethods(Scorer(bundle))


@pytest.mark.slow
@pytest.mark.parametrize("how", HOSTILE)
def test_many_fields_take_no_memory_of_their_own_and_few_lines(methods: OpenInferenceMethods, how: str) -> None:
    rest, said = HOSTILE[how]
    body = HEAD + rest
    assert len(body) > LONG_BODY
    assert said in refused(methods, body)

    def read_body() -> None:
        with pytest.raises(RequestError):
            in_parts(body)

    assert lines(read_body) < 600_000
    tracemalloc.start()
    try:
        read_body()
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()


def refused(methods: OpenInferenceMethods, body: bytes) -> str:
    with pytest.raises(RequestError) as error:
        asyncio.run(methods._infer(body, Call({}, 10)))
    return str(error.value)


@pytest.mark.parametrize("number", [5, 6])
def test_a_short_call_is_refused_by_its_counts(methods: OpenInferenceMethods, number: int) -> None:
    body = HEAD + field(number, b"") * 30_000
    assert len(body) <= LONG_BODY
    assert lines(lambda: refused(methods, body)) < 10_000
    assert "read " in refused(methods, body)
