from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.prometheus import observations, reward
from sailplane.serving.app import ModelServer
from sailplane.serving.feedback import read_feedback
from sailplane.serving.observations import FeedbackTotals
from sailplane.serving.scorer import Scorer
from sailplane.serving.spool import FEEDBACK, files, read
from tests.unit.bundles import tiny

PATH = "/api/v1.0/feedback"
# Deeper than the log can record.
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


def asked(server: ModelServer, path: str, message: Any, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=server), base_url="http://server", headers=headers
        ) as client:
            return await client.post(path, content=json.dumps(message))

    return asyncio.run(send())


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> ModelServer:
    return ModelServer(Scorer(bundle))


@pytest.mark.parametrize("path", [PATH, "/api/v0.1/feedback", "/send-feedback"])
def test_feedback_on_an_answer_is_taken(server: ModelServer, bundle: Bundle, path: str) -> None:
    answer = asked(server, "/predict", {"jsonData": tiny.RECORD}).json()
    response = asked(server, path, {"response": answer, "reward": 0.5, "truth": {"data": {"ndarray": [[1]]}}})
    assert response.status_code == 200
    assert response.json() == {"meta": {"puid": answer["meta"]["puid"], "requestPath": {"flights": bundle.version}}}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "read feedback: []; expected an object"),
        ({}, "response.meta.puid of the feedback: nothing"),
        ({"response": 7}, "read response of the feedback: 7; expected an object"),
        ({"response": {"meta": []}, "reward": 1}, "response.meta of the feedback: []"),
        ({"response": {"meta": {}}, "reward": 1}, "response.meta.puid"),
        ({"response": {"meta": [1]}, "reward": 1}, "response.meta of the feedback: [1]"),
        ({"response": {"meta": {"puid": 7}}}, "response.meta.puid of the feedback: 7"),
        ({"response": {"meta": {"puid": "a", "requestPath": ["x"]}}}, "response.meta.requestPath"),
        ({"response": {"meta": {"puid": "a"}}, "reward": "much"}, "reward of the feedback: 'much'; expected a number"),
        ({"response": {"meta": {"puid": "a"}}, "reward": True}, "reward of the feedback: true"),
        ({"response": {"meta": {"puid": "a"}}, "reward": 1e300}, "reward of the feedback: 1e+300"),
        ({"response": {"meta": {"puid": "a"}}, "truth": {"data": 1}}, "truth.data of the feedback: 1"),
        ({"response": {"meta": {"puid": "a"}}, "truth": {"data": {"tensor": 3}}}, "truth.data of the feedback"),
        (
            {"response": {"meta": {"puid": "a"}}, "truth": {"data": {"tensor": {"shape": [3], "values": [1, 0]}}}},
            "truth.data.tensor.shape of the feedback: [3]; expected [rows] or [rows, columns] of 2 values",
        ),
        ({"response": {"meta": {"puid": "a"}}, "truth": {"x": 1}}, 'truth of the feedback: keys ["x"]'),
        ({"response": {"meta": {"puid": "a"}}, "truth": {"jsonData": DEEP}}, "truth of the feedback: Recursion limit"),
        ({"response": {"meta": {"puid": "a"}}, "rewards": 1}, "key 'rewards'"),
    ],
)
def test_a_wrong_message_is_a_400_that_names_the_field(server: ModelServer, message: Any, reason: str) -> None:
    response = asked(server, PATH, message)
    assert response.status_code == 400
    assert reason in response.json()["error"]


@pytest.mark.parametrize(
    ("tensor", "rows"),
    [
        ({"values": [1, 0]}, [1, 0]),
        ({"shape": [2], "values": [1, 0]}, [1, 0]),
        ({"shape": [2, 1], "values": [1, 0]}, [1, 0]),
        ({"shape": [2, 3], "values": [1, 0, 0, 0, 0, 1]}, [[1, 0, 0], [0, 0, 1]]),
    ],
)
def test_the_truth_of_a_tensor_is_a_value_for_each_of_its_rows(tensor: dict[str, Any], rows: list[Any]) -> None:
    message = {"response": {"meta": {"puid": "a"}}, "truth": {"data": {"tensor": tensor}}}
    assert read_feedback(json.dumps(message).encode(), "flights").truth == rows


def test_rewards_are_counted_for_the_version_that_answered_and_not_twice_for_a_shadow(bundle: Bundle) -> None:
    server = ModelServer(Scorer(bundle))

    def feed_back(reward: float | None, version: str | None, **headers: str) -> None:
        path = {"requestPath": {"flights": version}} if version else {}
        message = {"response": {"meta": {"puid": "a", **path}}, "reward": reward}
        assert asked(server, PATH, message, **headers).status_code == 200

    for reward_of, version in [(1, "v1"), (0, "v1"), (-2, bundle.version), (5, None), (None, "v1")]:
        feed_back(reward_of, version)
    feed_back(1, "v1", **{"x-sailplane-shadow": "true"})
    text = server._scorer.metrics.text().decode()
    assert reward(text, "v1") == FeedbackTotals(count=2, total=1.0, low=0.0, high=1.0, squares=1.0)
    assert reward(text, "unknown").count == 1
    assert reward(text, "nobody") == FeedbackTotals()
    seen = observations(text, bundle.version)
    assert seen.feedback == {"reward": FeedbackTotals(count=1, total=-2.0, low=-2.0, high=-2.0, squares=4.0)}
    # Feedback is not a prediction.
    assert seen.requests == 0


def test_versions_that_a_client_makes_up_do_not_grow_without_an_end(bundle: Bundle) -> None:
    metrics = Scorer(bundle).metrics
    for number in range(300):
        metrics.rewarded(f"v{number}", 1.0, {})
    assert reward(metrics.text().decode(), "unknown").count == 200


@pytest.mark.parametrize(
    ("headers", "meta", "expected"),
    [
        ({"x-request-id": "of-envoy"}, {}, "of-envoy"),
        ({"x-request-id": "of-envoy", "seldon-puid": "of-seldon"}, {}, "of-seldon"),
        ({"x-request-id": "of-envoy"}, {"puid": "its own"}, "its own"),
    ],
)
def test_the_id_is_the_messages_own_else_a_headers(
    server: ModelServer, headers: dict[str, str], meta: dict[str, str], expected: str
) -> None:
    answer = asked(server, "/predict", {"jsonData": tiny.RECORD, "meta": meta}, **headers)
    assert (answer.headers["seldon-puid"], answer.json()["meta"]["puid"]) == (expected, expected)
    refused = asked(server, "/predict", {"jsonData": {}, "meta": meta}, **headers)
    assert (refused.status_code, refused.headers["seldon-puid"]) == (400, expected)


def test_an_id_that_fits_into_no_header_is_in_the_body_alone(server: ModelServer) -> None:
    for puid in ("a\r\nx: y", "é", "x" * 300):
        answer = asked(server, "/predict", {"jsonData": tiny.RECORD, "meta": {"puid": puid}})
        assert answer.json()["meta"]["puid"] == puid
        assert "seldon-puid" not in answer.headers


def test_one_without_any_gets_one_that_its_answer_says(server: ModelServer) -> None:
    answer = asked(server, "/predict", {"jsonData": tiny.RECORD})
    assert answer.json()["meta"]["puid"] == answer.headers["seldon-puid"]
    assert len(answer.headers["seldon-puid"]) == 32


def test_a_shadows_copy_of_feedback_is_not_logged(bundle: Bundle, tmp_path: Path) -> None:
    scorer = Scorer(bundle, log=tmp_path)
    message = {"response": {"meta": {"puid": "a"}}, "reward": 1}
    for headers in ({}, {"x-sailplane-shadow": "true"}):
        asked(ModelServer(scorer), PATH, message, **headers)
    assert scorer.log
    scorer.log.close()
    [path] = files(tmp_path)
    assert [(one.kind, one.id) for one in read(path)[1]] == [(FEEDBACK, "a")]
