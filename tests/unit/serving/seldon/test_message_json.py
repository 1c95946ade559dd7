from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from sailplane.serving.seldon import messages_pb2 as seldon_pb2
from sailplane.serving.seldon.message_json import as_json, shortest

messages: Any = seldon_pb2


@pytest.mark.parametrize("held", [None, True, "a", 1.5, [1.0, [None], {}], {"a": [{"b": 2.0}]}])
def test_a_value_is_what_json_has_of_it(held: object) -> None:
    struct = Struct()
    struct["held"] = held
    assert as_json(struct) == {"held": held}
    assert as_json(struct.fields["held"]) == held


def test_nan_and_infinity_stay_numbers() -> None:
    rows = ListValue(values=[Value(number_value=number) for number in (math.nan, math.inf, 1)])
    nan, *others = as_json(rows)
    assert (math.isnan(nan), others) == (True, [math.inf, 1.0])


def test_a_message_has_its_set_fields_by_their_json_names() -> None:
    meta = messages.Meta(puid="a", tags={"b": Value(null_value=0)}, request_path={"flights": "v1"})
    assert as_json(meta) == {"puid": "a", "tags": {"b": None}, "requestPath": {"flights": "v1"}}
    tensor = {"shape": [1, 2], "values": [1.0, math.inf]}
    message = messages.SeldonMessage(data={"names": ["c"], "tensor": tensor}, status=b"\xff")
    assert as_json(message) == {"status": "/w==", "data": {"names": ["c"], "tensor": tensor}}
    assert as_json(messages.Feedback(truth={"data": {"ndarray": {}}})) == {"truth": {"data": {"ndarray": {}}}}


def test_a_float32_is_its_shortest_number() -> None:
    assert shortest(messages.Feedback(reward=0.9).reward) == 0.9
