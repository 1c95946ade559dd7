"""A rollout on this machine: real servers behind the real router, asked all the time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import alias
from sailplane.serving.rollout import entries
from sailplane.serving.rollout.back import roll_back
from sailplane.serving.rollout.declared import ErrorRate, Latency, PredictionDrift
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.run import AT_ONCE, Serving
from sailplane.serving.rollout.state import State
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.unit.registry import tiny

Registered = Callable[..., Model]
PLAN = Rollout(
    shadow="1s",
    steps=[20, 50, 100],
    bake="2s",
    min_requests=10,
    checks=[ErrorRate(maximum=0.2), Latency(p50="2s"), PredictionDrift(maximum=0.5)],
)
# It scores its golden rows, and fails on what is asked.
FAULTY = 'import __main__\nSERVER = "serving.server" in str(getattr(__main__, "__spec__", ""))\n' + (
    tiny.FEATURES.replace("    numbers =", '    if SERVER and frame["distance"].iloc[0] == 1400: 1 / 0\n    numbers =')
)


@pytest.fixture
def serving(platform: Home, ledger: Ledger, storage: Storage, registered: Registered) -> Serving:
    """The first version serves."""
    serving = Serving.local(platform, ledger, storage, "flights")
    serving.begin(AT_ONCE, registered("run-1"), "the test")
    [version] = [entry.subject.version for entry in [entries.active(ledger, "flights")] if entry]
    assert serving.finish(version, poll_seconds=0.1).phase == "succeeded"
    return serving


@contextmanager
def asked_all_the_time(home: Home) -> Iterator[Counter[tuple[int, str]]]:
    """Answers by status and version."""
    answers: Counter[tuple[int, str]] = Counter()
    over = threading.Event()
    url = f"http://127.0.0.1:{home.router_port}/seldon/local/flights/api/v1.0/predictions"

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not over.is_set():
                answer = client.post(url, json={"jsonData": tiny.RECORD})
                answers[answer.status_code, answer.headers.get("x-sailplane-version", "")] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join(30)


def drive(serving: Serving, version: str, until: Callable[[State], bool]) -> State:
    driver = serving.driver(version)
    deadline = time.monotonic() + 90
    try:
        while time.monotonic() < deadline:
            state = driver.tick()
            if state is not None and until(state):
                return state
            assert state is None or not state.ended, state.reason
            time.sleep(0.2)
    finally:
        driver.release()
    raise AssertionError(f"still {serving.entry(version).state.stage}")


def named(ledger: Ledger, name: str) -> str | None:
    model = alias(ledger, "flights", name)
    return model.version if model else None


def test_a_version_goes_through_its_steps_though_its_server_is_killed_and_back_again_without_a_failed_request(
    serving: Serving, platform: Home, ledger: Ledger, registered: Registered, supervisor: Supervisor
) -> None:
    first, second = named(ledger, "champion"), registered("run-2", bias=0.001)
    with asked_all_the_time(platform) as answers:
        serving.begin(PLAN, second, "a task")
        drive(serving, second.version, lambda state: state.stage == "baking 0")
        pid = supervisor.states()[f"model-flights-{second.version}"].pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert drive(serving, second.version, lambda state: state.ended).phase == "succeeded"
        assert (named(ledger, "champion"), named(ledger, "previous")) == (second.version, first)
        assert roll_back(serving, "ada") == first
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {first, second.version}
    assert (named(ledger, "champion"), named(ledger, "previous")) == (first, second.version)
    assert [name for name in supervisor.programs() if name.startswith("model-")] == [f"model-flights-{first}"]


def test_a_version_that_fails_is_taken_back_and_no_client_sees_it(
    serving: Serving, platform: Home, ledger: Ledger, registered: Registered
) -> None:
    first, faulty = named(ledger, "champion"), registered("run-2", features=FAULTY)
    with asked_all_the_time(platform) as answers:
        serving.begin(PLAN, faulty, "a task")
        state = drive(serving, faulty.version, lambda state: state.ended)
    assert state.phase == "failed"
    assert state.reason.startswith("error rate: ")
    assert {*answers} == {(200, first)}
    assert serving.target.split().weights == {first: 100}
    assert named(ledger, "champion") == first
    decided = entries.decisions(ledger, "flights", faulty.version)
    assert [one.after for one in decided] == ["starting", "shadowing", "rolling back", "failed"]
    assert decided[3].time - decided[2].time < 10
