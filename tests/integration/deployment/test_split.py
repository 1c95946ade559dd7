"""Two versions share the traffic: which version gets which request, and what happens while one is away."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.source import LocalSource
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.serving.customer_groups import group_of
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.unit.bundles import tiny

FEEDBACK = "/seldon/local/flights/api/v1.0/feedback"
Registered = Callable[..., Model]
SERVER = 'import __main__\nSERVER = "serving.server" in str(getattr(__main__, "__spec__", ""))\n'
NO_NUMBERS = SERVER + tiny.FEATURES.replace(
    "    numbers =", '    if SERVER and frame["distance"].iloc[0] == 1: 1 / 0\n    numbers ='
)


@pytest.fixture
def target(platform: Home, storage: Storage) -> LocalTarget:
    return LocalTarget(platform, storage, "flights")


@pytest.fixture
def client(platform: Home) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{platform.router_port}", trust_env=False, timeout=30) as opened:
        yield opened


def start(target: LocalTarget, *models: Model) -> None:
    for model in models:
        target.prepare(model)
        target.begin(model)
        assert wait_until(lambda model=model: target.progress(model.version).state == "ready", seconds=60)  # type: ignore[misc]


def ask(client: httpx.Client, record: object = tiny.RECORD, **headers: str) -> httpx.Response:
    path = "/seldon/local/flights/api/v1.0/predictions"
    return client.post(path, json={"jsonData": record}, headers=headers)


def versions(client: httpx.Client, count: int, **headers: str) -> Counter[str]:
    answers = [ask(client, **headers) for _ in range(count)]
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    return Counter(answer.headers["x-sailplane-version"] for answer in answers)


def test_weights_are_kept_and_a_key_stays_with_its_version_while_a_cohort_grows(
    target: LocalTarget, platform: Home, registered: Registered, client: httpx.Client
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 90, new.version: 10}))
    assert target.split() == TrafficSplit({old.version: 90, new.version: 10})
    assert 3 <= versions(client, 300)[new.version] <= 75, "a share of 10%: outside once in a billion times"

    def cohort() -> set[int]:
        return {key for key in range(60) if versions(client, 1, **{"x-sailplane-key": str(key)})[new.version]}

    few = cohort()
    assert cohort() == few
    target.move(TrafficSplit({old.version: 50, new.version: 50}))
    more = cohort()
    assert few < more
    assert len(more) < 60

    target.move(TrafficSplit({old.version: 50, new.version: 50}, sticky="carrier"))
    assert target.split().sticky == "carrier"

    def by_field(key: int) -> set[str]:
        return {ask(client, {**tiny.RECORD, "carrier": str(key)}).headers["x-sailplane-version"] for _ in range(3)}

    assert {key for key in range(60) if by_field(key) == {new.version}} == more
    assert {key for key in range(60) if by_field(key) == {old.version}} == set(range(60)) - more
    customer = {**tiny.RECORD, "carrier": str(min(more))}
    feedback = {"request": {"jsonData": customer}, "response": ask(client, customer).json(), "reward": 0.5}
    assert client.post(FEEDBACK, json=feedback).status_code == 200
    seen = LocalSource(platform, "flights").observed(new.version)
    assert groups(seen.groups.requests) == {group_of(str(key).encode()) for key in more}
    assert groups(seen.feedback["reward"].totals) == {group_of(str(min(more)).encode())}


def groups(counts: Sequence[float]) -> set[int]:
    return {group for group, count in enumerate(counts) if count}


def test_a_shadow_sees_every_request_and_nobody_its_answers(
    target: LocalTarget, platform: Home, registered: Registered, client: httpx.Client
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 100}, shadow=new.version))
    assert target.split().shadow == new.version
    before = scored(target, new)
    assert versions(client, 40) == {old.version: 40}
    assert wait_until(lambda: scored(target, new) == before + 40, seconds=10)
    target.move(TrafficSplit({old.version: 100}))
    assert versions(client, 5) == {old.version: 5}
    assert scored(target, new) == before + 40


def scored(target: LocalTarget, model: Model) -> int:
    text = httpx.get(f"http://127.0.0.1:{target.port(model.version)}/metrics", trust_env=False).text
    [line] = [line for line in text.splitlines() if line.startswith("sailplane_score_count")]
    return int(float(line.split()[-1]))


def test_while_one_version_is_down_the_other_answers_for_it(
    target: LocalTarget, supervisor: Supervisor, registered: Registered, client: httpx.Client
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 50, new.version: 50}))
    for killed, other in ((new, old), (old, new)):
        pid = supervisor.states()[f"model-flights-{killed.version}"].pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert versions(client, 100)[other.version] > 0
        back = killed.version
        assert wait_until(lambda back=back: versions(client, 20)[back] > 0, seconds=30), "it is back"  # type: ignore[misc]


def test_a_request_that_one_version_fails_on_is_answered_by_the_other(
    target: LocalTarget, registered: Registered, client: httpx.Client
) -> None:
    old, new = registered("run-1"), registered("run-2", features=NO_NUMBERS)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 50, new.version: 50}))
    record = {**tiny.RECORD, "distance": 1.0}
    answers = [ask(client, record) for _ in range(30)]
    assert {(answer.status_code, answer.headers["x-sailplane-version"]) for answer in answers} == {(200, old.version)}
    wrong = [ask(client, {"distance": 1.0}) for _ in range(10)]
    assert {answer.status_code for answer in wrong} == {400}, "what is wrong itself is not sent again"


def test_a_version_ends_after_it_lost_its_traffic_and_the_state_is_in_two_files(
    target: LocalTarget, platform: Home, registered: Registered, client: httpx.Client, ledger: Ledger
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    start(target, old, new)
    target.move(TrafficSplit({old.version: 100}))
    target.move(TrafficSplit({new.version: 100}))
    target.stop(old.version)
    assert target.versions() == [new.version]
    assert versions(client, 20) == {new.version: 20}
    target.stop(old.version)
    assert {file.name for file in (platform.serving / "router").iterdir()} == {
        "cds.yaml",
        "rds.yaml",
        "envoy.yaml",
        "lock",
    }
