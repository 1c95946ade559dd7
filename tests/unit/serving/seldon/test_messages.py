"""Requests in Seldon's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import NAMES, ROW, ask, predict


@pytest.mark.parametrize("path", ["/api/v1.0/predictions", "/api/v0.1/predictions", "/predict"])
def test_rows_with_names_get_the_scores_of_the_bundle(bundle: Bundle, path: str) -> None:
    rows = [list(record.values()) for record in bundle.golden_records]
    answer = ask(bundle, "POST", path, {"data": {"names": NAMES, "ndarray": rows}}).json()
    np.testing.assert_array_equal(np.float32(answer["data"]["ndarray"]), np.float32(bundle.golden_scores))
    assert answer["data"]["names"] == ["late"]
    assert answer["meta"]["requestPath"] == {"flights": bundle.version}
    assert answer["meta"]["puid"]


def test_names_may_come_in_any_order_or_not_at_all(bundle: Bundle) -> None:
    usual = predict(bundle, {"data": {"names": NAMES, "ndarray": [ROW]}}).json()["data"]
    turned = predict(bundle, {"data": {"names": NAMES[::-1], "ndarray": [ROW[::-1]]}}).json()["data"]
    unnamed = predict(bundle, {"data": {"ndarray": [ROW]}}).json()["data"]
    assert usual == turned == unnamed


def test_a_tensor_is_answered_by_a_tensor(classifier: Bundle) -> None:
    tensor = {"shape": [2, len(ROW)], "values": [*ROW, *ROW]}
    answer = predict(classifier, {"data": {"names": NAMES, "tensor": tensor}}).json()["data"]
    assert answer["names"] == ["zero", "one", "two"]
    assert answer["tensor"]["shape"] == [2, 3]
    assert len(answer["tensor"]["values"]) == 6


def test_json_records_are_scored_one_or_many(bundle: Bundle) -> None:
    one = predict(bundle, {"jsonData": tiny.RECORD}).json()["data"]["ndarray"]
    many = predict(bundle, {"jsonData": [tiny.RECORD, tiny.RECORD]}).json()["data"]["ndarray"]
    assert many == one * 2


def test_puid_and_tags_of_the_request_come_back(bundle: Bundle) -> None:
    meta = {"puid": "abc", "tags": {"a": [1, None]}}
    answer = predict(bundle, {"jsonData": tiny.RECORD, "meta": meta}).json()["meta"]
    assert (answer["puid"], answer["tags"]) == ("abc", meta["tags"])


def test_a_field_that_may_be_null_may_be_null(bundle: Bundle) -> None:
    assert predict(bundle, {"jsonData": {**tiny.RECORD, "wind": None, "seats": None}}).status_code == 200


def test_tags_that_are_too_deep_to_send_back_are_a_400(bundle: Bundle) -> None:
    tags: dict[str, Any] = {}
    for _ in range(400):
        tags = {"a": tags}
    response = predict(bundle, {"jsonData": tiny.RECORD, "meta": {"tags": tags}})
    assert response.status_code == 400
    assert "meta.tags" in response.json()["error"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "expected an object"),
        ({}, "no data"),
        ({"data": {}, "jsonData": {}}, "either data or jsonData"),
        ({"strData": "x"}, "either data or jsonData"),
        ({"data": {"ndarray": []}}, "at least one row"),
        ({"data": {"ndarray": [[]]}}, "expected a list of 6 values"),
        ({"data": {"ndarray": [ROW, ROW[1:]]}}, "row 1: 5 values; expected a list of 6 values: distance, wind"),
        ({"data": {"ndarray": [ROW, 7]}}, "row 1: a number"),
        ({"data": {"names": NAMES[1:], "ndarray": [ROW[1:]]}}, "'distance' is missing"),
        ({"data": {"names": [*NAMES, "typo"], "ndarray": [[*ROW, 1]]}}, "'typo' is unknown"),
        ({"data": {"names": [*NAMES, "wind"], "ndarray": [[*ROW, 1]]}}, "'wind' is given twice"),
        ({"data": {"names": "distance", "ndarray": [ROW]}}, "data.names: a string"),
        ({"data": {"names": 0, "ndarray": [ROW]}}, "data.names: a number"),
        ({"data": {"names": NAMES, "tensor": {"shape": [2, "6"], "values": ROW}}}, 'tensor.shape: [2,"6"]'),
        ({"data": {"names": NAMES, "tensor": {"shape": [2, 6], "values": ROW}}}, "6 values; expected 12"),
        ({"data": {"names": NAMES, "tensor": {"shape": [6], "values": ROW}}}, "tensor.shape"),
        ({"data": {"names": NAMES, "tensor": 5}}, "tensor.shape"),
        ({"jsonData": []}, "at least one row"),
        ({"jsonData": "x"}, "row 0"),
        ({"jsonData": {**tiny.RECORD, "distance": "far"}}, "'distance' of row 0: 'far'; expected a number"),
        ({"jsonData": {**tiny.RECORD, "carrier": None}}, "'carrier' of row 0: null; expected a string"),
        ({"jsonData": {**tiny.RECORD, "carrier": True}}, "'carrier' of row 0: true; expected a string"),
        ({"jsonData": {**tiny.RECORD, "carrier": {"a": [None]}}}, "'carrier' of row 0: {\"a\":[null]}; expected"),
        ({"jsonData": {**tiny.RECORD, "seats": -(2**63) - 1}}, "'seats' of row 0: -9.223372036854776e+18; expected"),
        ({"jsonData": {**tiny.RECORD, "x" * 10_000: 1}}, "xxx... is unknown"),
        ({"x" * 10_000: 1}, "xxx...; expected either data or jsonData"),
        ({"jsonData": tiny.RECORD, "meta": 1}, "read meta"),
        ({"jsonData": tiny.RECORD, "meta": {"puid": 1}}, "meta.puid"),
        ({"jsonData": tiny.RECORD, "meta": {"tags": []}}, "meta.tags"),
    ],
)
def test_a_wrong_request_gets_a_400_that_says_what_is_wrong(bundle: Bundle, message: object, reason: str) -> None:
    response = predict(bundle, message)
    assert response.status_code == 400
    assert reason in response.json()["error"]
    assert len(response.text) < 1_000
    assert response.json()["status"]["status"] == "FAILURE"
