from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sailplane.registry.bundle import Bundle
from sailplane.serving.app import ModelServer
from sailplane.serving.scorer import Limits, Scorer
from tests.unit.registry import tiny

SERVERS: dict[tuple[Path, str | None], ModelServer] = {}
SLOW = "    time.sleep(0.05)\n    numbers ="
NAMES = [field.name for field in tiny.INPUTS]
ROW = [tiny.RECORD[name] for name in NAMES]


def ask(
    bundle: Bundle,
    method: str,
    path: str,
    message: object = None,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> httpx.Response:
    content = body if body is not None else None if message is None else json.dumps(message).encode()
    return called(server_of(bundle, token), method, path, content, headers)


def server_of(bundle: Bundle, token: str | None) -> ModelServer:
    """Made once: it takes the measure of its model."""
    key = bundle.folder, token
    if key not in SERVERS:
        SERVERS[key] = ModelServer(Scorer(bundle), token)
    return SERVERS[key]


def called(
    server: ModelServer, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=server)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=content, headers=headers)

    response = asyncio.run(send())
    if response.headers["content-type"] == "application/json":
        response.json()
    assert response.headers["x-sailplane-version"]
    return response


def predict(bundle: Bundle, message: object) -> httpx.Response:
    return ask(bundle, "POST", "/api/v1.0/predictions", message)


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


def test_tags_that_are_too_deep_to_send_back_are_a_400(bundle: Bundle) -> None:
    tags: dict[str, Any] = {}
    for _ in range(400):
        tags = {"a": tags}
    response = predict(bundle, {"jsonData": tiny.RECORD, "meta": {"tags": tags}})
    assert response.status_code == 400
    assert "meta.tags" in response.json()["error"]


def test_a_field_that_may_be_null_may_be_null(bundle: Bundle) -> None:
    assert predict(bundle, {"jsonData": {**tiny.RECORD, "wind": None, "seats": None}}).status_code == 200


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


def test_a_value_that_is_as_deep_as_is_read_is_told_too(bundle: Bundle) -> None:
    body = json.dumps({"jsonData": {**tiny.RECORD, "carrier": 0}}).replace(": 0,", f": {'[' * 1000}{']' * 1000},")
    response = ask(bundle, "POST", "/predict", body=body.encode())
    assert response.status_code == 400
    assert "'carrier' of row 0: a list; expected a string" in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"jsonData": NaN}', b'{"jsonData": Infinity}', b"[" * 5000])
def test_what_is_no_json_is_a_400(bundle: Bundle, body: bytes) -> None:
    response = ask(bundle, "POST", "/predict", body=body)
    assert response.status_code == 400
    assert "no valid JSON" in response.json()["error"]


def test_an_unknown_path_and_a_wrong_method_are_told_what_there_is(bundle: Bundle) -> None:
    unknown = ask(bundle, "GET", "/nope")
    assert unknown.status_code == 404
    assert "/predict" in unknown.json()["error"]
    wrong = ask(bundle, "GET", "/predict")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"


def test_a_body_over_the_limit_is_a_413(bundle: Bundle) -> None:
    response = ask(bundle, "POST", "/predict", body=b" " * (Limits().body + 1))
    assert (response.status_code, response.headers["connection"]) == (413, "close")
    assert "Send fewer rows" in response.json()["error"]


def test_a_body_that_is_packed_is_a_415(bundle: Bundle) -> None:
    packed = gzip.compress(json.dumps({"jsonData": tiny.RECORD}).encode())
    response = ask(bundle, "POST", "/predict", body=packed, headers={"content-encoding": "gzip"})
    assert response.status_code == 415
    assert "Content-Encoding: 'gzip'" in response.json()["error"]


def test_a_body_that_grows_over_the_limit_without_having_said_so_is_a_413(bundle: Bundle) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(ModelServer(Scorer(bundle))(scope, receive, send))
    assert sent[0]["status"] == 413


def test_health_and_metadata_say_what_is_served(bundle: Bundle) -> None:
    assert ask(bundle, "GET", "/health/ping").text == "pong"
    assert ask(bundle, "GET", "/health/status").json()["version"] == bundle.version
    about = ask(bundle, "GET", "/metadata").json()
    assert about["name"] == "flights"
    assert about["inputs"][0]["schema"]["names"] == NAMES


def test_scores_that_are_not_finite_are_a_422_that_names_the_rows(tmp_path: Path) -> None:
    features = tiny.FEATURES.replace('"float32") / 24', '"float32") + np.where(frame["carrier"] == "XX", np.nan, 0)')
    broken = tiny.bundle(tmp_path / "bundle", features=features)
    response = predict(broken, {"jsonData": [tiny.RECORD, {**tiny.RECORD, "carrier": "XX"}]})
    assert response.status_code == 422
    assert "1 of 2 rows (first: row 1)" in response.json()["error"]


def test_features_that_raise_are_a_500_without_a_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    features = tiny.FEATURES.replace("    numbers =", '    if (frame["carrier"] == "XX").any(): 1 / 0\n    numbers =')
    fragile = tiny.bundle(tmp_path / "bundle", features=features)
    with caplog.at_level(logging.CRITICAL):
        response = predict(fragile, {"jsonData": {**tiny.RECORD, "carrier": "XX"}})
    assert response.status_code == 500
    assert "Traceback" not in response.text
    assert predict(fragile, {"jsonData": tiny.RECORD}).status_code == 200


def test_a_slow_prediction_holds_up_no_health_check(tmp_path: Path) -> None:
    slow = tiny.bundle(tmp_path / "bundle", features="import time\n" + tiny.FEATURES.replace("    numbers =", SLOW))

    async def run() -> list[float]:
        transport = httpx.ASGITransport(app=ModelServer(Scorer(slow)))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            ended: list[float] = []
            pending = asyncio.create_task(client.post("/predict", json={"jsonData": tiny.RECORD}))
            pending.add_done_callback(lambda _: ended.append(0))
            await asyncio.sleep(0)
            while not ended:
                health = await client.get("/v2/health/ready")
                ended.append(health.status_code) if not pending.done() else None
            return [*ended[:1], (await pending).status_code]

    assert asyncio.run(run()) == [200, 200]


def test_a_token_is_wanted_by_all_but_the_health_checks(bundle: Bundle) -> None:
    message = {"jsonData": tiny.RECORD}
    for path in ("/predict", "/v2/models/flights/infer"):
        without = ask(bundle, "POST", path, message, token="secret")
        assert (without.status_code, without.headers["www-authenticate"]) == (401, "Bearer")
        wrong = ask(bundle, "POST", path, message, token="secret", headers={"authorization": "Bearer other"})
        assert wrong.status_code == 401
        assert "secret" not in wrong.text + without.text
    right = ask(bundle, "POST", "/predict", message, token="secret", headers={"authorization": "Bearer secret"})
    assert right.status_code == 200
    assert ask(bundle, "GET", "/metrics", token="secret").status_code == 401
    assert ask(bundle, "GET", "/v2/health/ready", token="secret").status_code == 200


def test_a_caller_that_has_no_time_is_told_so_at_once(bundle: Bundle) -> None:
    response = ask(
        bundle, "POST", "/predict", {"jsonData": tiny.RECORD}, headers={"x-envoy-expected-rq-timeout-ms": "0"}
    )
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "no answer within 0 s" in response.json()["error"]


def test_a_patience_that_is_no_number_of_use_is_passed_over(bundle: Bundle) -> None:
    for patience in ("9" * 5000, "-1", "x", ""):
        headers = {"x-envoy-expected-rq-timeout-ms": patience}
        assert ask(bundle, "POST", "/predict", {"jsonData": tiny.RECORD}, headers=headers).status_code == 200


def test_the_metrics_count_requests_rows_and_scores(bundle: Bundle) -> None:
    server = ModelServer(Scorer(bundle))
    before = counted(server)
    good = json.dumps({"jsonData": bundle.golden_records}).encode()
    called(server, "POST", "/predict", good)
    called(server, "POST", "/predict", b"{")
    called(server, "POST", "/v2/models/flights/infer", b"{}")
    after = counted(server)
    labels = {"model": "flights", "version": bundle.version}

    def grew(name: str, **more: str) -> float:
        key = (name, frozenset({**labels, **more}.items()))
        return after[key] - before.get(key, 0)

    assert grew("sailplane_requests_total", protocol="seldon", code="200") == 1
    assert grew("sailplane_requests_total", protocol="seldon", code="400") == 1
    assert grew("sailplane_requests_total", protocol="open_inference", code="400") == 1
    assert grew("sailplane_request_seconds_count") == 3
    assert (grew("sailplane_batch_rows_count"), grew("sailplane_batch_rows_sum")) == (1, 32)
    assert grew("sailplane_score_count") == 32
    assert grew("sailplane_score_sum") == pytest.approx(np.sum(bundle.golden_scores), abs=1e-4)
    assert grew("sailplane_score_bucket", le="0.5") == sum(score <= 0.5 for [score] in bundle.golden_scores)
    assert after["sailplane_queue_requests", frozenset(labels.items())] == 0
    assert 0 <= time.time() - after["sailplane_started_seconds", frozenset(labels.items())] < 60


def counted(server: ModelServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = called(server, "GET", "/metrics").text
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


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


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", "/v2/models/flights/infer"]), SHAPED | FIELD | V2 | st.binary(max_size=40))
def test_whatever_is_sent_is_answered_in_json_and_never_as_our_fault(bundle: Bundle, path: str, message: Any) -> None:
    body = message if isinstance(message, bytes) else json.dumps(message).encode(errors="replace")
    response = ask(bundle, "POST", path, body=body)
    assert response.status_code == 200 or 400 <= response.status_code < 500
    if response.status_code != 200:
        assert response.json()["error"]


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
    assert field in response.json()["error"] or "no valid JSON" in response.json()["error"]
