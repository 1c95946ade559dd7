"""Answers of the served versions go from behind the router to the store, and feedback goes to a rollout."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pandas as pd

from sailplane.deployment.http_client import call
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.rollout.check_specs import Metric
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.home import Home
from sailplane.monitoring import export, requests
from sailplane.records import Model
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.integration.deployment.routed import RECORD
from tests.platform import until
from tests.unit.bundles import tiny

Registered = Callable[..., Model]
PLAN = Rollout(
    shadow="1s",
    steps=[50, 100],
    bake="1s",
    min_requests=10,
    checks=[Metric(metric="reward", worse_by=0.1)],
)


@contextmanager
def asked_and_fed_back(home: Home, good: str) -> Iterator[dict[str, str]]:
    """Yields the answering version by id. An answer of the good version gets a reward of 1, others get 0."""
    answered: dict[str, str] = {}
    address = f"http://127.0.0.1:{home.router_port}/seldon/local/flights/api/v1.0"
    # Headers that only the router may set.
    headers = {"x-sailplane-shadow": "true"}

    def ask(client: httpx.Client) -> None:
        answer = client.post(f"{address}/predictions", json={"jsonData": tiny.RECORD}, headers=headers)
        assert answer.status_code == 200
        version = answer.headers["x-sailplane-version"]
        answered[answer.headers["seldon-puid"]] = version
        message = {"response": answer.json(), "reward": float(version == good)}
        assert client.post(f"{address}/feedback", json=message, headers=headers).status_code == 200

    with asked_all_the_time(ask):
        yield answered


def test_what_is_fed_back_takes_a_worse_version_back_and_all_of_both_is_in_the_log_when_it_is_gone(
    serving: ModelEndpoint, platform: Home, storage: Storage, registered: Registered
) -> None:
    [first] = serving.target.split().weights
    second = registered("run-2", bias=0.001)
    worse = second.version
    with asked_and_fed_back(platform, good=first) as answered:
        serving.begin(PLAN, second, "a task")
        driver, deadline = serving.driver(worse), time.monotonic() + 90
        while (state := driver.tick()) is None or not state.ended:
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        driver.release()
    assert (state.phase, state.reason.split(",")[0]) == ("failed", "metric reward")
    assert not (platform.serving / "models" / "flights" / worse).exists()

    def logged() -> pd.DataFrame | None:
        frame = requests(storage, "flights", spool=platform.requests)
        seen = frame[~frame["shadow"]]
        return frame if len(seen) >= len(answered) and seen["reward"].notna().all() else None

    frame = until(logged, 30, "the last requests and rewards in the log")
    shadow, seen = frame[frame["shadow"]], frame[~frame["shadow"]]
    assert set(shadow["version"]) == {worse}
    # A copy has the id of its original.
    assert set(shadow["id"]) <= set(answered)
    assert dict(zip(seen["id"], seen["version"], strict=True)) == answered
    assert len(seen) == len(answered)
    assert (seen["reward"] == (seen["version"] == first)).all()
    # The log of the stopped version is complete; the other version is still running.
    export(platform.requests, storage)
    assert {path.split("/")[2] for path in storage.list("requests")} == {worse}


def test_switched_off_nothing_is_logged_also_of_what_served_before(serving: ModelEndpoint, platform: Home) -> None:
    [version] = serving.target.split().weights

    def answers() -> bool:
        return call(platform.router_port, "POST", "/seldon/local/flights/predict", RECORD).status == 200

    def asked() -> int:
        assert answers()
        return sum(path.is_file() for path in platform.requests.rglob("*"))

    until(lambda: asked() or None, 30, "a file")
    off = replace(platform, logs_requests=False)
    renew(off)
    supervisor, server = Supervisor(off), f"model-flights-{version}"
    before = supervisor.states()[server].pid
    supervisor.update()
    assert supervisor.states()[server].pid != before
    until(lambda: serving.target.progress(version).state == "ready" or None, 60, "the server")
    # The router may still have a connection to the process before.
    until(lambda: answers() or None, 30, "an answer")
    shutil.rmtree(platform.requests)
    asked()
    supervisor.stop(server)
    assert not platform.requests.exists(), "a server that ends writes what it has"
