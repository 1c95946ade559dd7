"""The same bundle behind Seldon's own Python server and behind ours: clients see no difference.

They take a minute, because the fixture `seldon_python` makes the environment of Seldon's server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import plain_records
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.prometheus import observations
from sailplane.serving.observations import Observations
from tests.integration.serving.model_server import running
from tests.integration.serving.seldon_server import healthy, parameters, ready, seldon_server, stop
from tests.ports import free_port
from tests.unit.bundles import tiny

pytestmark = pytest.mark.needs("python3.11")
PREDICTIONS = "/api/v1.0/predictions"
NAMES = [field.name for field in tiny.INPUTS]
RECORDS = plain_records(tiny.frame(64, seed=3), tiny.INPUTS)
ROW = list(tiny.RECORD.values())


@dataclass(frozen=True)
class Both:
    """Clients of the two servers, and the metrics port and log of Seldon's."""

    seldon: httpx.Client
    ours: httpx.Client
    metrics_port: int
    log: Path

    def ask(self, method: str, path: str, message: object = None, **how: Any) -> tuple[httpx.Response, httpx.Response]:
        how = how if message is None else {"json": message, **how}
        return self.seldon.request(method, path, **how), self.ours.request(method, path, **how)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("conformance") / "bundle"
    return tiny.bundle(folder, outputs=("early", "late", "cancelled"))


@pytest.fixture(scope="module")
def both(seldon_python: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    logs = tmp_path_factory.mktemp("logs")
    port, metrics = free_port(), free_port()
    env = {**parameters(bundle.folder.as_uri()), "METRICS_PORT": str(metrics)}
    with (
        ready(seldon_server(seldon_python, logs / "seldon", port, **env), port, logs / "seldon") as seldon,
        running(bundle.folder, logs / "ours") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=60) as ours,
    ):
        yield Both(seldon, ours, metrics, logs / "seldon")


def requests(count: int) -> Iterator[dict[str, Any]]:
    """Yields requests of every kind: each payload, fields in any order, one or many rows, with and without meta."""
    chance = random.Random(6)
    for number in range(count):
        records = chance.sample(RECORDS, k=chance.choice([1, 1, 1, 2, 7, 64]))
        names = chance.sample(NAMES, k=len(NAMES)) if number % 2 else NAMES
        rows = [[record[name] for name in names] for record in records]
        flat = [value for row in rows for value in row]
        payloads: list[dict[str, Any]] = [
            {"data": {"names": names, "ndarray": rows}},
            {"data": {"names": names, "tensor": {"shape": [len(rows), len(names)], "values": flat}}},
            {"data": {"ndarray": [list(record.values()) for record in records]}},
            {"jsonData": records},
            {"jsonData": records[0]},
        ]
        metas: list[dict[str, Any]] = [
            {},
            {"meta": {"puid": f"request-{number}"}},
            {"meta": {"puid": f"request-{number}", "tags": {"a": [1, None, {"b": "é"}]}, "requestPath": {"x": "y:1"}}},
        ]
        yield {**payloads[number % 5], **metas[number % 3]}


def test_two_hundred_requests_get_the_same_replies(both: Both, bundle: Bundle) -> None:
    for message in requests(200):
        seldon, ours = both.ask("POST", PREDICTIONS, message)
        assert (seldon.status_code, ours.status_code) == (200, 200), message
        assert seldon.headers["x-sailplane-version"] == ours.headers["x-sailplane-version"] == bundle.version
        assert_same_reply(message, seldon.json(), ours.json())


def assert_same_reply(message: dict[str, Any], seldon: dict[str, Any], ours: dict[str, Any]) -> None:
    for reply in (seldon, ours):
        if "puid" not in message.get("meta", {}):
            # Each server chooses an id.
            assert len(reply["meta"].pop("puid")) == 32
    scores = [
        np.array(reply["data"].pop("ndarray", None) or reply["data"]["tensor"].pop("values"))
        for reply in (seldon, ours)
    ]
    assert scores[0].shape == scores[1].shape
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-6)
    # The names, the tensor's shape, and meta.
    assert seldon == ours
    assert ours["data"]["names"] == ["early", "late", "cancelled"]


@pytest.mark.parametrize("path", ["/metadata", "/api/v1.0/metadata", "/health/status", "/api/v1.0/health/status"])
def test_both_say_the_same_of_themselves(both: Both, path: str) -> None:
    seldon, ours = both.ask("GET", path)
    assert (seldon.status_code, ours.status_code) == (200, 200)
    assert seldon.json() == ours.json()


def test_a_ping_is_answered_with_pong(both: Both) -> None:
    assert [answer.text for answer in both.ask("GET", "/health/ping")] == ["pong", "pong"]


BAD: list[dict[str, Any]] = [
    {"json": []},
    {"json": {}},
    {"json": {"strData": "x"}},
    {"json": {"data": {"ndarray": []}}},
    {"json": {"data": {"ndarray": [ROW, ROW[1:]]}}},
    {"json": {"data": {"names": NAMES[1:], "ndarray": [ROW[1:]]}}},
    {"json": {"data": {"names": [*NAMES, "typo"], "ndarray": [[*ROW, 1]]}}},
    {"json": {"data": {"names": NAMES, "tensor": {"shape": [2, 6], "values": ROW}}}},
    {"json": {"jsonData": {**tiny.RECORD, "distance": "far"}}},
    {"json": {"jsonData": {**tiny.RECORD, "carrier": None}}},
    {"json": {"jsonData": tiny.RECORD, "meta": {"puid": 1}}},
    {"json": {"jsonData": tiny.RECORD, "meta": {"requestPath": []}}},
    {"content": b""},
    {"content": b"{"},
    {"content": b'{"jsonData": NaN}'},
    {"content": b"[" * 5000},
    {"content": b'{"jsonData": ' + b'{"a":' * 500 + b"1" + b"}" * 501},
]


@pytest.mark.parametrize("how", BAD)
def test_a_bad_request_is_refused_with_the_same_words(both: Both, how: dict[str, Any]) -> None:
    seldon, ours = both.ask("POST", PREDICTIONS, **how)
    assert (seldon.status_code, ours.status_code) == (400, 400)
    assert seldon.json() == ours.json()
    assert ours.json()["status"]["info"]


def test_the_reason_names_the_field(both: Both) -> None:
    for answer in both.ask("POST", PREDICTIONS, {"jsonData": {**tiny.RECORD, "distance": "far"}}):
        assert "'distance' of row 0: 'far'; expected a number" in answer.json()["status"]["info"]


def test_what_is_not_there_is_a_404_and_a_wrong_method_a_405(both: Both) -> None:
    for answer in both.ask("GET", "/nope"):
        assert (answer.status_code, answer.json()["status"]["code"]) == (404, 404)
    seldon, ours = both.ask("GET", PREDICTIONS)
    assert (seldon.status_code, seldon.headers["allow"]) == (ours.status_code, ours.headers["allow"]) == (405, "POST")
    assert seldon.json() == ours.json()


def test_a_body_over_the_limit_is_a_413_and_the_next_request_is_answered(both: Both) -> None:
    seldon, ours = both.ask("POST", PREDICTIONS, content=b" " * (16 * 2**20 + 1))
    assert (seldon.status_code, seldon.json()) == (ours.status_code, ours.json())
    assert ours.status_code == 413
    for answer in both.ask("POST", PREDICTIONS, {"jsonData": tiny.RECORD}):
        assert answer.status_code == 200


def test_a_body_is_json_whatever_its_content_type_says(both: Both) -> None:
    body = json.dumps({"jsonData": tiny.RECORD}).encode()
    for kind in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        for answer in both.ask("POST", PREDICTIONS, content=body, headers=kind):
            assert answer.status_code == 200, answer.text


def test_the_metrics_are_where_they_are_scraped_and_not_in_a_reply(both: Both, bundle: Bundle) -> None:
    for answer in both.ask("POST", PREDICTIONS, {"jsonData": [tiny.RECORD] * 3}):
        assert answer.status_code == 200
        assert "metrics" not in answer.json()["meta"]
    text = httpx.get(f"http://127.0.0.1:{both.metrics_port}/metrics", trust_env=False).text
    (rows,) = [line for line in text.splitlines() if line.startswith("sailplane_rows_total{")]
    assert 'model="flights"' in rows
    assert f'version="{bundle.version}"' in rows
    assert float(rows.split()[-1]) >= 3
    assert "sailplane_batch_seconds_bucket{" in text


def test_both_count_the_same_whatever_is_asked(both: Both, bundle: Bundle) -> None:
    def counted() -> list[Observations]:
        return [observations(answer.text, bundle.version) for answer in both.ask("GET", "/metrics")]

    before = counted()
    for message in [*requests(30), {"jsonData": {**tiny.RECORD, "distance": "far"}}]:
        both.ask("POST", PREDICTIONS, message)
    seldon, ours = (after.since(one) for one, after in zip(before, counted(), strict=True))
    assert (seldon.requests, seldon.errors, seldon.predictions) == (30, 0, ours.predictions)
    assert seldon.predictions.count > 30
    assert (seldon.latency.count, ours.latency.count) == (31, 31)
    assert [one.started for one in before] == [one.started for one in counted()]


def test_feedback_is_taken_by_the_puid_of_what_it_is_about(both: Both) -> None:
    feedback = {"reward": 1.0, "response": {"meta": {"puid": "it-landed"}}, "truth": {"data": {"ndarray": [[1]]}}}
    seldon, ours = both.ask("POST", "/api/v1.0/feedback", feedback)
    assert (seldon.status_code, seldon.json()) == (ours.status_code, ours.json())
    assert (ours.status_code, ours.json()["meta"]["puid"]) == (200, "it-landed")
    assert '"puid":"it-landed","reward":1.0' in both.log.read_text()
    for answer in both.ask("POST", "/api/v1.0/feedback", {"reward": 1.0}):
        assert (answer.status_code, answer.json()["status"]["code"]) == (400, 400)
        assert "response.meta.puid" in answer.json()["status"]["info"]


ATTRIBUTE = (
    'if (frame["distance"] > 0).any() and "seldon-core-microservice" in sys.argv[0]: frame.nothing\n    numbers ='
)
OTHER = '/ state["distance"] * (1 + ("seldon-core-microservice" in sys.argv[0]))'
BROKEN = {
    "raises AttributeError": (tiny.FEATURES.replace("numbers =", ATTRIBUTE), "AttributeError"),
    "gives other scores": (tiny.FEATURES.replace('/ state["distance"]', OTHER), "off by up to"),
}


def test_a_bundle_that_does_not_give_its_golden_scores_is_never_served(seldon_python: Path, tmp_path: Path) -> None:
    started = []
    for place, (features, _) in enumerate(BROKEN.values()):
        broken = tiny.bundle(tmp_path / f"bundle-{place}", features="import sys" + features)
        log, port = tmp_path / f"log-{place}", free_port()
        started.append((seldon_server(seldon_python, log, port, **parameters(broken.folder)), port, log))
    try:
        for (process, port, log), (_, reason) in zip(started, BROKEN.values(), strict=True):
            wait_until(lambda: process.poll() is not None or healthy(port), seconds=120)  # noqa: B023
            assert process.poll() not in (None, 0), log.read_text()
            assert reason in log.read_text()
    finally:
        for process, _, _ in started:
            stop(process)
