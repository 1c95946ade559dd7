"""A rollout on this machine: real servers behind the real router, with requests all the time."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

import httpx

from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.rollout.state import State
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry import holds
from sailplane.registry.models import alias
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.unit.bundles import tiny

Registered = Callable[..., Model]
PLAN = Rollout(
    shadow="1s",
    steps=[20, 50, 100],
    bake="2s",
    min_requests=10,
    checks=[ErrorRate(maximum=0.2), Latency(p50="2s"), PredictionDrift(maximum=0.5)],
    sticky="carrier",
)
# It scores its golden rows, but fails on requests.
FAULTY = 'import __main__\nSERVER = "serving.server" in str(getattr(__main__, "__spec__", ""))\n' + (
    tiny.FEATURES.replace("    numbers =", '    if SERVER and frame["distance"].iloc[0] == 1400: 1 / 0\n    numbers =')
)


@contextmanager
def answered(home: Home) -> Iterator[Counter[tuple[int, str]]]:
    """Counts the answers to requests that are sent meanwhile, by status and version."""
    answers: Counter[tuple[int, str]] = Counter()
    url = f"http://127.0.0.1:{home.router_port}/seldon/local/flights/api/v1.0/predictions"
    customers = cycle(map(str, range(60)))

    def ask(client: httpx.Client) -> None:
        answer = client.post(url, json={"jsonData": {**tiny.RECORD, "carrier": next(customers)}})
        answers[answer.status_code, answer.headers.get("x-sailplane-version", "")] += 1

    with asked_all_the_time(ask):
        yield answers


def drive(serving: ModelEndpoint, version: str, until: Callable[[State], bool]) -> State:
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
    serving: ModelEndpoint, platform: Home, ledger: Ledger, registered: Registered, supervisor: Supervisor
) -> None:
    first, second = named(ledger, "champion"), registered("run-2", bias=0.001)
    with answered(platform) as answers:
        serving.begin(PLAN, second, "a task")
        drive(serving, second.version, lambda state: state.stage == "baking 0")
        pid = supervisor.states()[f"model-flights-{second.version}"].pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert drive(serving, second.version, lambda state: state.ended).phase == "succeeded"
        assert (named(ledger, "champion"), named(ledger, "previous")) == (second.version, first)
        assert roll_back(serving, "ada") == first
    for decision in records.decisions(ledger, "flights", second.version):
        if decision.before.startswith("baking"):
            by_customer = [one for one in decision.findings if one.check != "prediction drift"]
            assert all(one.groups and one.groups >= 5 for one in by_customer)
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {first, second.version}
    assert (named(ledger, "champion"), named(ledger, "previous")) == (first, None)
    hold = holds.find(ledger, "flights")
    assert hold
    assert (hold.version, hold.serves) == (second.version, first)
    assert [name for name in supervisor.programs() if name.startswith("model-")] == [f"model-flights-{first}"]


def test_a_version_that_fails_is_taken_back_and_no_client_sees_it(
    serving: ModelEndpoint, platform: Home, ledger: Ledger, registered: Registered
) -> None:
    first, faulty = named(ledger, "champion"), registered("run-2", features=FAULTY)
    with answered(platform) as answers:
        serving.begin(PLAN, faulty, "a task")
        state = drive(serving, faulty.version, lambda state: state.ended)
    assert state.phase == "failed"
    assert state.reason.startswith("error rate: ")
    assert {*answers} == {(200, first)}
    assert serving.target.split().weights == {first: 100}
    assert named(ledger, "champion") == first
    decided = records.decisions(ledger, "flights", faulty.version)
    assert [one.after for one in decided] == ["starting", "shadowing", "rolling back", "failed"]
    assert decided[3].time - decided[2].time < 10
