from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask

DATATYPES = {"number": "FP64", "integer": "INT64", "string": "BYTES", "boolean": "BOOL", "timestamp": "BYTES"}
INFER = "/v2/models/flights/infer"


def request(records: list[dict[str, Any]], **changes: dict[str, Any]) -> dict[str, Any]:
    tensors = [
        {
            "name": field.name,
            "shape": [len(records)],
            "datatype": DATATYPES[field.kind],
            "data": [record[field.name] for record in records],
            **changes.get(field.name, {}),
        }
        for field in tiny.INPUTS
    ]
    return {"inputs": tensors}


def test_named_tensors_get_the_scores_of_the_bundle(bundle: Bundle) -> None:
    answer = ask(bundle, "POST", INFER, {"id": "7", **request(bundle.golden_records)}).json()
    (output,) = answer["outputs"]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("flights", bundle.version, "7")
    assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP32", [32, 1])
    np.testing.assert_array_equal(np.float32(output["data"]), np.float32(bundle.golden_scores).ravel())


def test_columns_of_width_one_and_nested_data_are_the_same_request(bundle: Bundle) -> None:
    nested = {"shape": [2, 1], "data": [[1400.0], [1400.0]]}
    one = ask(bundle, "POST", INFER, request([tiny.RECORD] * 2)).json()
    other = ask(bundle, "POST", INFER, request([tiny.RECORD] * 2, distance=nested)).json()
    assert one == other


def test_several_outputs_are_a_row_each(classifier: Bundle) -> None:
    answer = ask(classifier, "POST", "/v2/models/digits/infer", request([tiny.RECORD] * 2)).json()
    assert answer["outputs"][0]["shape"] == [2, 3]
    assert answer["parameters"] == {"outputs": "zero,one,two"}


def test_a_version_can_be_named_and_only_the_served_one_is_there(bundle: Bundle) -> None:
    version = f"/v2/models/flights/versions/{bundle.version}"
    assert ask(bundle, "POST", f"{version}/infer", request([tiny.RECORD])).status_code == 200
    assert ask(bundle, "GET", f"{version}/ready").json() == {"name": "flights", "ready": True}
    assert ask(bundle, "POST", "/v2/models/flights/versions/1/infer", request([tiny.RECORD])).status_code == 404
    assert ask(bundle, "POST", "/v2/models/other/infer", request([tiny.RECORD])).status_code == 404


def test_the_metadata_describe_a_request_that_works(bundle: Bundle) -> None:
    about = ask(bundle, "GET", "/v2/models/flights").json()
    tensors = [
        {"name": t["name"], "datatype": t["datatype"], "shape": [1], "data": [tiny.RECORD[t["name"]]]}
        for t in about["inputs"]
    ]
    assert ask(bundle, "POST", INFER, {"inputs": tensors}).status_code == 200
    assert about["outputs"] == [{"name": "probability", "datatype": "FP32", "shape": [-1, 1]}]


def test_the_server_is_live_and_ready(bundle: Bundle) -> None:
    assert ask(bundle, "GET", "/v2/health/live").json() == {"live": True}
    assert ask(bundle, "GET", "/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"datatype": "BYTES"}, "datatype of input 'distance': 'BYTES'; expected FP64"),
        ({"datatype": None}, "datatype of input 'distance'"),
        ({"shape": [2]}, "1 values; expected 2"),
        ({"shape": [2], "data": [1, 2]}, "input 'wind': 1 rows; expected 2"),
        ({"shape": [1, 2], "data": [1, 2]}, "expected [rows] or [rows, 1]"),
        ({"shape": []}, "expected [rows] or [rows, 1]"),
        ({"shape": None}, "expected [rows] or [rows, 1]"),
        ({"shape": [0], "data": []}, "expected [rows] or [rows, 1]"),
        ({"data": None}, "data of input 'distance': null; expected a list"),
        ({"datatype": "FP7", "data": []}, "datatype of input 'distance': 'FP7'"),
        ({"parameters": 5}, "parameters of input 'distance': 5"),
        ({"data": ["x"]}, "'distance' of row 0: 'x'; expected a number"),
        ({"data": [[[1]]]}, "'distance' of row 0"),
        ({"name": "typo"}, "'distance' is missing"),
        ({"name": "wind"}, "'distance' is missing"),
        ({"name": 5}, "number 0 without a name"),
    ],
)
def test_a_wrong_tensor_gets_a_400_that_names_it(bundle: Bundle, changes: dict[str, Any], reason: str) -> None:
    response = ask(bundle, "POST", INFER, request([tiny.RECORD], distance=changes))
    assert response.status_code == 400
    assert reason in response.json()["error"]


@pytest.mark.parametrize("message", [[], {}, {"inputs": {}}, {"inputs": [1]}, {"inputs": []}])
def test_a_message_without_inputs_is_a_400(bundle: Bundle, message: object) -> None:
    assert ask(bundle, "POST", INFER, message).status_code == 400


OUTPUT = {"name": "probability"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outputs": [{"name": "nope"}]}, "read outputs"),
        ({"outputs": 5}, "read outputs: 5"),
        ({"outputs": [OUTPUT, OUTPUT]}, "the one output"),
        ({"outputs": [{**OUTPUT, "parameters": []}]}, "parameters of output 'probability': []"),
        ({"outputs": [{**OUTPUT, "parameters": {"binary_data": "no"}}]}, "binary_data of output 'probability': 'no'"),
        ({"parameters": 5}, "parameters of the request: 5"),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output of the request: 1"),
        ({"id": 5}, "read id: 5"),
    ],
)
def test_what_is_asked_for_in_a_wrong_way_is_a_400(bundle: Bundle, changes: dict[str, Any], reason: str) -> None:
    response = ask(bundle, "POST", INFER, {**request([tiny.RECORD]), **changes})
    assert response.status_code == 400
    assert reason in response.json()["error"]


def test_a_null_is_nothing_as_some_clients_send_it(bundle: Bundle) -> None:
    nothing = {"id": None, "outputs": None, "parameters": None}
    unset = request([tiny.RECORD], distance={"parameters": None})
    response = ask(bundle, "POST", INFER, {**unset, **nothing})
    assert response.status_code == 200
    assert "id" not in response.json()
