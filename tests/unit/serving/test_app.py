from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sailplane.bundles.bundle import Bundle
from sailplane.serving.app import ModelServer
from sailplane.serving.guard import HEALTH, ServerGuard
from sailplane.serving.scorer import Scorer
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import NAMES, ask, called, predict, server_of

SLOW = "    time.sleep(0.05)\n    numbers ="


def test_an_unknown_path_and_a_wrong_method_are_told_what_there_is(bundle: Bundle) -> None:
    unknown = ask(bundle, "GET", "/nope")
    assert unknown.status_code == 404
    assert "/predict" in unknown.json()["error"]
    wrong = ask(bundle, "GET", "/predict")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"


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
    assert ask(bundle, "GET", "/v2/models/flights/ready", token="secret").status_code == 401
    for path in HEALTH:
        assert ask(bundle, "GET", path, token="secret").status_code == 200


def test_a_model_by_the_name_of_health_is_no_health_check(tmp_path: Path) -> None:
    health = tiny.bundle(tmp_path / "bundle", model="health")
    for method, path in (("POST", "/v2/models/health/infer"), ("GET", "/v2/models/health/ready")):
        assert ask(health, method, path, token="secret").status_code == 401
        guarded = httpx.ASGITransport(app=ServerGuard(server_of(health, None)))
        asked = httpx.Request(method, f"http://evil.example{path}")
        assert asyncio.run(_status(guarded, asked)) == 403
        live = httpx.Request("GET", "http://evil.example/v2/health/live")
        assert asyncio.run(_status(guarded, live)) == 200


async def _status(transport: httpx.ASGITransport, request: httpx.Request) -> int:
    async with httpx.AsyncClient(transport=transport) as client:
        return (await client.send(request)).status_code


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
