from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sailplane.bundles.bundle import Bundle
from sailplane.serving import openapi
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask
from tests.unit.serving.open_inference.test_messages import INFER, request

PREDICT = "/api/v1.0/predictions"
FEEDBACK = "/api/v1.0/feedback"


def document(bundle: Bundle) -> dict[str, Any]:
    return dict(ask(bundle, "GET", "/openapi.json").json())


def schema(bundle: Bundle, path: str, answer: bool = False) -> Draft202012Validator:
    """Returns the schema of the path's request, or of its successful answer."""
    described = document(bundle)
    operation = described["paths"][path]["post"]
    body = operation["responses"]["200"] if answer else operation["requestBody"]
    whole = {**body["content"]["application/json"]["schema"], "components": described["components"]}
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


@pytest.mark.parametrize("path", [PREDICT, INFER, FEEDBACK])
def test_each_example_fits_its_schema_and_is_answered_as_is_said(bundle: Bundle, path: str) -> None:
    content = document(bundle)["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]
    for example in content["examples"].values():
        schema(bundle, path).validate(example["value"])
        answer = ask(bundle, "POST", path, example["value"])
        assert answer.status_code == 200
        schema(bundle, path, answer=True).validate(answer.json())


@pytest.mark.parametrize(
    "wrong",
    [
        {"jsonData": {**tiny.RECORD, "distance": "far"}},
        {"jsonData": {**tiny.RECORD, "carrier": None}},
        {"jsonData": {**tiny.RECORD, "typo": 1}},
        {"data": {"ndarray": [list(tiny.RECORD.values())[1:]]}},
        {"data": {"ndarray": [list(tiny.RECORD.values())], "tensor": {"shape": [1, 6], "values": [1] * 6}}},
        {"strData": "x"},
    ],
)
def test_the_schema_refuses_what_the_server_refuses(bundle: Bundle, wrong: dict[str, Any]) -> None:
    assert not schema(bundle, PREDICT).is_valid(wrong)
    assert ask(bundle, "POST", PREDICT, wrong).status_code == 400


def test_a_field_that_may_be_null_may_be_null_in_both_protocols(bundle: Bundle) -> None:
    schema(bundle, PREDICT).validate({"jsonData": {**tiny.RECORD, "wind": None}})
    schema(bundle, INFER).validate(request([{**tiny.RECORD, "wind": None}]))


def test_all_that_is_described_is_there(bundle: Bundle) -> None:
    for path, operations in document(bundle)["paths"].items():
        for method in operations:
            assert ask(bundle, method.upper(), path, {}).status_code in (200, 400), path
    assert ask(bundle, "GET", "/seldon.json").json() == document(bundle)


def test_a_token_is_described_where_one_is_wanted(bundle: Bundle) -> None:
    open_to_all, closed = openapi.document(bundle, token=False), openapi.document(bundle, token=True)
    assert "security" not in open_to_all
    assert closed["security"] == [{"token": []}]
    assert closed["paths"]["/v2/health/ready"]["get"]["security"] == []
    assert ask(bundle, "GET", "/openapi.json", token="secret").status_code == 401
