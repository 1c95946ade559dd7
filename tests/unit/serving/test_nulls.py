"""Missing values: null, NaN in tensors without null, or omitted."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import read
from sailplane.records import Field
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import messages_pb2 as open_inference_pb2
from sailplane.serving.open_inference.grpc import request_columns
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask, predict
from tests.unit.serving.open_inference.test_messages import INFER, request

messages: Any = open_inference_pb2
FIELDS = (
    Field(name="number", kind="number", nullable=True),
    Field(name="integer", kind="integer", nullable=True),
    Field(name="flag", kind="boolean", nullable=True),
    Field(name="text", kind="string", nullable=True),
    Field(name="time", kind="timestamp", nullable=True),
)
NAN = float("nan")
NONE = {field.name: [None, None] for field in FIELDS}
TENSORS = [
    ("number", "FP32", [NAN, NAN]),
    ("number", "FP64", [NAN, NAN]),
    ("number", "FP16", [NAN, NAN]),
    ("integer", "FP64", [NAN, NAN]),
    ("integer", "FP32", [NAN, NAN]),
    ("flag", "FP64", [NAN, NAN]),
    ("text", "BYTES", ["", ""]),
    ("time", "BYTES", ["", ""]),
]
CONTENTS = {"FP32": ("fp32_contents", "<f"), "FP64": ("fp64_contents", "<d"), "FP16": ("", "<e")}


def raw(datatype: str, data: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text.encode() for text in data)
    return np.array(data, CONTENTS[datatype][1]).tobytes()


def values(columns: dict[str, list[object]]) -> dict[str, list[Any]]:
    return read(columns, FIELDS)


@pytest.mark.parametrize(("name", "datatype", "data"), TENSORS)
def test_a_binary_tensor_says_null(name: str, datatype: str, data: list[Any]) -> None:
    body = raw(datatype, data)
    tensor = {"name": name, "datatype": datatype, "shape": [2], "parameters": {"binary_data_size": len(body)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {b"inference-header-content-length": str(len(head)).encode()}
    assert values(open_inference.columns(open_inference.message(head + body, headers), FIELDS)) == NONE


@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
@pytest.mark.parametrize(("name", "datatype", "data"), TENSORS)
def test_a_grpc_tensor_says_null(name: str, datatype: str, data: list[Any], typed: bool) -> None:
    tensor = messages.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=[2])
    sent = messages.ModelInferRequest(model_name="flights", inputs=[tensor])
    if not typed or datatype == "FP16":  # There are no contents of this type.
        sent.raw_input_contents.append(raw(datatype, data))
    elif datatype == "BYTES":
        sent.inputs[0].contents.bytes_contents.extend(text.encode() for text in data)
    else:
        getattr(sent.inputs[0].contents, CONTENTS[datatype][0]).extend(data)
    assert values(request_columns(sent.SerializeToString(), FIELDS)) == NONE


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "BOOL"])
def test_a_boolean_that_may_be_null_comes_as_a_number_too(datatype: str) -> None:
    data = [True, None, False] if datatype == "BOOL" else [1.0, None, 0]
    message = {"inputs": [{"name": "flag", "datatype": datatype, "shape": [3], "data": data}]}
    assert values(open_inference.columns(message, FIELDS))["flag"] == [True, None, False]


def test_an_empty_string_of_json_is_a_string() -> None:
    """JSON has its own null."""
    message = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["", None]}]}
    assert values(open_inference.columns(message, FIELDS))["text"] == ["", None]


def test_a_null_in_the_data_of_a_json_tensor_is_null(bundle: Bundle) -> None:
    message = request([tiny.RECORD, {**tiny.RECORD, "wind": None, "seats": None}])
    answer = ask(bundle, "POST", INFER, message).json()["outputs"][0]["data"]
    rows = predict(bundle, {"jsonData": [tiny.RECORD, {**tiny.RECORD, "wind": None, "seats": None}]})
    assert answer == [row[0] for row in rows.json()["data"]["ndarray"]]


def test_a_tensor_a_key_or_a_name_that_is_left_out_is_null(bundle: Bundle) -> None:
    null = {**tiny.RECORD, "wind": None, "seats": None}
    without = {name: value for name, value in null.items() if value is not None}
    [[score]] = predict(bundle, {"jsonData": null}).json()["data"]["ndarray"]
    message = request([null])
    message["inputs"] = [tensor for tensor in message["inputs"] if tensor["name"] in without]
    assert ask(bundle, "POST", INFER, message).json()["outputs"][0]["data"] == [score]
    assert predict(bundle, {"jsonData": without}).json()["data"]["ndarray"] == [[score]]
    named = {"names": list(without), "ndarray": [list(without.values())]}
    assert predict(bundle, {"data": named}).json()["data"]["ndarray"] == [[score]]
    rows = {"names": list(null), "ndarray": [list(null.values())]}
    assert predict(bundle, {"data": rows}).json()["data"]["ndarray"] == [[score]]


def test_nan_of_a_field_that_is_never_null_is_refused_with_field_and_row(bundle: Bundle) -> None:
    message = request([tiny.RECORD, tiny.RECORD])
    body = np.array([1.0, NAN], "<f8").tobytes()
    message["inputs"][0] = {
        "name": "distance",
        "datatype": "FP64",
        "shape": [2],
        "parameters": {"binary_data_size": len(body)},
    }
    head = json.dumps(message).encode()
    headers = {"inference-header-content-length": str(len(head))}
    answer = ask(bundle, "POST", INFER, body=head + body, headers=headers)
    assert answer.status_code == 400
    assert "read field 'distance' of row 1: nan; expected a number" in answer.json()["error"]


def test_without_any_tensor_the_number_of_rows_is_unknown() -> None:
    with pytest.raises(Exception, match="read inputs: none"):
        open_inference.columns({"inputs": []}, FIELDS)
