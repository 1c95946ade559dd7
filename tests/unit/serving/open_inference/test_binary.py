"""The binary tensor data extension, byte by byte as in its specification."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask
from tests.unit.serving.open_inference.test_messages import INFER, request

PACKED = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}


def packed(message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Returns the message followed by its binary data."""
    raw, tensors = b"", []
    for tensor in message["inputs"]:
        data = tensor.pop("data")
        if tensor["datatype"] == "BYTES":
            part = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
        else:
            part = np.array(data, dtype=PACKED[tensor["datatype"]]).tobytes()
        tensors.append({**tensor, "parameters": {"binary_data_size": len(part)}})
        raw += part
    return {**message, "inputs": tensors}, raw


def sent(bundle: Bundle, message: dict[str, Any], raw: bytes, length: str | None = None) -> httpx.Response:
    head = json.dumps(message).encode()
    headers = {"inference-header-content-length": length or str(len(head))}
    return ask(bundle, "POST", INFER, body=head + raw, headers=headers)


def test_raw_tensors_get_the_scores_of_the_same_request_in_json(bundle: Bundle) -> None:
    records = [record for record in bundle.golden_records if None not in record.values()]
    usual = ask(bundle, "POST", INFER, request(records)).json()
    assert sent(bundle, *packed(request(records))).json() == usual


@pytest.mark.parametrize(
    "asked",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "probability", "parameters": {"binary_data": True}}]},
    ],
)
def test_scores_come_as_bytes_where_that_is_asked_for(bundle: Bundle, asked: dict[str, Any]) -> None:
    response = ask(bundle, "POST", INFER, {**request(bundle.golden_records), **asked})
    length = int(response.headers["inference-header-content-length"])
    head, raw = json.loads(response.content[:length]), response.content[length:]
    [output] = head["outputs"]
    assert response.headers["content-type"] == "application/octet-stream"
    assert (output["shape"], output["parameters"], "data" in output) == ([32, 1], {"binary_data_size": 128}, False)
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), np.float32(bundle.golden_scores).ravel())


def broken(case: str) -> tuple[dict[str, Any], bytes, str | None]:
    message, raw = packed(request([tiny.RECORD]))
    tensors = {tensor["name"]: tensor for tensor in message["inputs"]}
    if case == "too few bytes":
        return message, raw[:-1], None
    if case == "too many bytes":
        return message, raw + b"x", None
    if case == "length beyond the body":
        return message, raw, "99999"
    if case == "length that is no number":
        return message, raw, "many"
    if case == "size that is no number":
        tensors["distance"]["parameters"]["binary_data_size"] = "8"
    if case == "length of too many digits":
        return message, raw, "9" * 5000
    if case == "data as well":
        tensors["distance"]["data"] = [1.0]
    if case == "size that does not divide":
        tensors["distance"]["parameters"]["binary_data_size"] = 7
    if case == "datatype that is none":
        tensors["distance"]["datatype"] = "FP7"
    if case == "string that is too long":
        raw = raw.replace(struct.pack("<I", 2) + b"UA", struct.pack("<I", 999) + b"UA")
    if case == "text that is no UTF-8":
        raw = raw.replace(b"UA", b"\xff\xff")
    return message, raw, None


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("too few bytes", "read binary data of input 'scheduled': 28 bytes; expected 29"),
        ("too many bytes", "bytes after the JSON"),
        ("length beyond the body", "Inference-Header-Content-Length: '99999'"),
        ("length that is no number", "Inference-Header-Content-Length: 'many'"),
        ("length of too many digits", "Inference-Header-Content-Length: '999"),
        ("data as well", "read input 'distance': data and binary_data_size; expected only one of them"),
        ("size that is no number", "binary_data_size of input 'distance': '8'"),
        ("size that does not divide", "read binary data of input 'distance': 7 bytes; expected a multiple of 8"),
        ("datatype that is none", "read datatype of input 'distance': 'FP7'"),
        ("string that is too long", "read binary data of input 'carrier': a string that ends after the data"),
        ("text that is no UTF-8", "read binary data of input 'carrier': bytes that are not UTF-8"),
    ],
)
def test_what_does_not_fit_is_a_400_that_names_the_tensor(bundle: Bundle, case: str, said: str) -> None:
    response = sent(bundle, *broken(case))
    assert response.status_code == 400
    assert said in response.json()["error"]
