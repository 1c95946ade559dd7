"""Seldon's own unmodified client sends requests and feedback to the router and the model server over REST and gRPC."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.http_client import call
from sailplane.monitoring import export, requests
from sailplane.serving.seldon import messages_pb2 as seldon_pb2
from sailplane.storage import Storage
from tests.integration.deployment.routed import router_of
from tests.integration.serving.model_server import Server, running
from tests.integration.serving.seldon_server import settings
from tests.unit.bundles import tiny

pytestmark = pytest.mark.needs("python3.11")
CLIENT = Path(__file__).with_name("seldon_client.py")
Told = dict[tuple[str, str, str], dict[str, Any]]
GATEWAYS = ("ambassador", "istio", "seldon")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny.bundle(tmp_path_factory.mktemp("seldon-client") / "bundle")


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> Iterator[Server]:
    folder = bundle.folder.parent
    with running(bundle.folder, folder / "log", "--request-log", str(folder / "requests")) as started:
        yield started


@pytest.fixture(scope="module")
def told(server: Server, bundle: Bundle, seldon_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    with router_of(tmp_path_factory.mktemp("router"), server, bundle.version) as (port, _):
        ports = (str(port), str(server.port), str(server.grpc_port))
        command = [str(seldon_python), str(CLIENT), *ports, json.dumps(tiny.RECORD)]
        ended = subprocess.run(command, env=settings(NO_PROXY="*"), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return {(way, transport, what): said for way, transport, what, said in json.loads(ended.stdout)}


def test_its_predictions_are_answered_whatever_gateway_it_takes_us_for(
    told: Told, server: Server, bundle: Bundle
) -> None:
    usual = server.post("/predict", {"jsonData": tiny.RECORD}).json()["data"]
    ways = [(way, how, what) for way in GATEWAYS for how in ("rest", "grpc") for what in ("ndarray", "jsonData")]
    ways += [("microservice", how, "ndarray") for how in ("rest", "grpc")]
    for way in ways:
        answer = told[way]
        assert answer["success"], (way, answer)
        assert answer["said"]["data"]["names"] == usual["names"]
        np.testing.assert_allclose(answer["said"]["data"]["ndarray"], usual["ndarray"], atol=1e-6)
        assert answer["said"]["meta"]["requestPath"] == {"flights": bundle.version}
        assert answer["said"]["meta"]["puid"]


def test_its_feedback_is_taken_by_the_puid_of_the_answer(told: Told, server: Server, bundle: Bundle) -> None:
    for way in GATEWAYS:
        for how in ("rest", "grpc"):
            answer = told[way, how, "feedback"]
            assert answer["success"], (way, how, answer)
            assert answer["said"]["meta"]["puid"]
    metrics = call(server.port, "GET", "/metrics").body.decode()
    [total] = [line for line in metrics.splitlines() if line.startswith("sailplane_reward_sum{")]
    [count] = [line for line in metrics.splitlines() if line.startswith("sailplane_reward_count{")]
    assert f'answered="{bundle.version}"' in total
    assert (round(float(total.split()[-1]), 6), float(count.split()[-1])) == (5.4, 6)


def test_a_model_that_is_not_served_and_a_wrong_value_are_refused_with_the_reason(told: Told) -> None:
    assert "No such model" in told["another", "grpc", "ndarray"]["reason"]
    assert "404" in told["another", "rest", "ndarray"]["reason"]
    assert "'carrier' of row 0" in told["seldon", "grpc", "numbers for texts"]["reason"]


def test_what_it_asks_and_feeds_back_is_in_the_log(told: Told, server: Server, bundle: Bundle, tmp_path: Path) -> None:
    server.process.terminate()
    server.process.wait(30)
    storage = Storage((tmp_path / "store").as_uri())
    assert export(bundle.folder.parent / "requests", storage).rows
    frame = requests(storage, "flights")
    asked = frame[(frame["protocol"] == "seldon_grpc") & (frame["status"] == 200)]
    assert len(asked) == 3 * len(GATEWAYS) + 1
    assert set(asked["input.carrier"]) == {"UA"}
    assert asked["prediction.late"].nunique() == 1
    rewarded = frame[frame["reward"].notna()]
    assert set(rewarded["protocol"]) == {"seldon", "seldon_grpc"}
    assert len(rewarded) == 2 * len(GATEWAYS)
    assert set(rewarded["reward"].round(6)) == {0.9}


def test_a_reward_of_nothing_counts_unless_there_is_a_truth() -> None:
    from sailplane.serving.seldon.grpc import _feedback

    plain = seldon_pb2.Feedback(response={"meta": b""})
    assert _feedback(plain.SerializeToString())["reward"] == 0.0
    plain.truth.str_data = "late"
    assert _feedback(plain.SerializeToString())["reward"] is None
