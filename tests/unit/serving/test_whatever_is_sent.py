"""The answer to any request says what is wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sailplane.bundles.bundle import Bundle
from sailplane.serving.app import ModelServer
from sailplane.serving.scorer import RequestLimits, Scorer
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import NAMES, ROW, ask, predict


def test_a_value_that_is_as_deep_as_is_read_is_told_too(bundle: Bundle) -> None:
    body = json.dumps({"jsonData": {**tiny.RECORD, "carrier": 0}}).replace(": 0,", f": {'[' * 1000}{']' * 1000},")
    response = ask(bundle, "POST", "/predict", body=body.encode())
    assert response.status_code == 400
    assert "'carrier' of row 0: a list; expected a string" in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"jsonData": NaN}', b'{"jsonData": Infinity}', b"[" * 5000])
def test_what_is_no_json_is_a_400(bundle: Bundle, body: bytes) -> None:
    response = ask(bundle, "POST", "/predict", body=body)
    assert response.status_code == 400
    assert "invalid JSON" in response.json()["error"]


def test_a_body_over_the_limit_is_a_413_when_it_has_come_on_a_connection_that_stays(bundle: Bundle) -> None:
    response = ask(bundle, "POST", "/predict", body=b" " * (RequestLimits().body + 1))
    assert (response.status_code, response.headers.get("connection")) == (413, None)
    assert "Send fewer rows" in response.json()["error"]


@pytest.mark.parametrize("headers", [{"content-length": str(10**12)}, {"expect": "100-continue"}])
def test_a_sender_that_has_far_too_much_or_waits_to_be_asked_is_refused_at_once(
    bundle: Bundle, headers: dict[str, str]
) -> None:
    response = ask(bundle, "POST", "/predict", body=b" " * (RequestLimits().body + 1), headers=headers)
    assert (response.status_code, response.headers["connection"]) == (413, "close")


@pytest.mark.slow
def test_a_body_that_grows_over_the_limit_without_having_said_so_is_a_413(bundle: Bundle) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(ModelServer(Scorer(bundle))(scope, receive, send))
    assert sent[0]["status"] == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["data", "jsonData", "names", "ndarray", "tensor", "shape", "values", "meta", "inputs", "data"])
SHAPED = st.recursive(
    JSON | st.just(ROW) | st.just(NAMES) | st.just(tiny.RECORD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
FIELD = st.fixed_dictionaries({"jsonData": st.fixed_dictionaries(dict.fromkeys(NAMES, JSON))})
DATATYPE = st.sampled_from(["FP64", "BYTES", "INT64"])
V2_TENSOR = st.fixed_dictionaries({"name": st.sampled_from(NAMES), "shape": JSON, "datatype": DATATYPE, "data": JSON})
V2 = st.fixed_dictionaries({"inputs": st.lists(V2_TENSOR, max_size=6)})


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", "/v2/models/flights/infer"]), SHAPED | FIELD | V2 | st.binary(max_size=40))
def test_whatever_is_sent_is_answered_in_json_and_never_as_our_fault(bundle: Bundle, path: str, message: Any) -> None:
    body = message if isinstance(message, bytes) else json.dumps(message).encode(errors="replace")
    response = ask(bundle, "POST", path, body=body)
    assert response.status_code == 200 or 400 <= response.status_code < 500
    if response.status_code != 200:
        assert response.json()["error"]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_field_that_is_wrong_is_the_one_that_is_named(bundle: Bundle, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(NAMES))
    wrong: dict[str, Callable[[object], bool]] = {
        "distance": lambda v: not isinstance(v, int | float) or isinstance(v, bool),
        "wind": lambda v: v is not None and (not isinstance(v, int | float) or isinstance(v, bool)),
        "seats": lambda v: v is not None and (not isinstance(v, int | float) or isinstance(v, bool)),
        "carrier": lambda v: not isinstance(v, str),
        "weekend": lambda v: not isinstance(v, bool),
        "scheduled": lambda v: not isinstance(v, str),
    }
    value = data.draw(JSON.filter(wrong[field]).filter(lambda v: "NaN" not in json.dumps(v)))
    response = predict(bundle, {"jsonData": {**tiny.RECORD, field: value}})
    assert response.status_code == 400
    assert field in response.json()["error"] or "invalid JSON" in response.json()["error"]
