"""A process of the previous release is replaced during requests, and no request fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import httpx
import psutil
import pytest

from sailplane.deployment.envoy import router
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local import handover, model_process
from sailplane.deployment.local.handover import ROUTER_STAND_IN, ModelHandover, RouterHandover
from sailplane.deployment.local.model_process import ModelProcess
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.integration.deployment.routed import RECORD, deploy, pid_of, served_version
from tests.integration.deployment.test_rollout import drive
from tests.integration.serving.test_grpc import call, inference
from tests.unit.bundles import tiny

Registered = Callable[..., Model]


@pytest.fixture
def served(platform: Home, ledger: Ledger, storage: Storage, registered: Registered) -> Model:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    return model


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on other packages are installed."""
    monkeypatch.setattr(model_process, "installed", lambda: "sailplane==another\n")
    monkeypatch.setattr(router, "version_of", lambda _package: "another")


@contextmanager
def asked(home: Home) -> Iterator[list[str]]:
    """Sends requests over kept connections, over a new one for each request, and over gRPC. Returns the failures."""
    url, failures = f"http://127.0.0.1:{home.router_port}/seldon/local/flights/api/v1.0/predictions", list[str]()

    def kept(client: httpx.Client) -> None:
        reply = client.post(url, json=RECORD)
        if reply.status_code != 200:
            failures.append(reply.text)

    def new(_client: httpx.Client) -> None:
        kept(httpx)  # type: ignore[arg-type]
        time.sleep(0.005)

    with grpc.insecure_channel(f"127.0.0.1:{home.router_port}") as channel:

        def called(_client: httpx.Client) -> None:
            try:
                call(channel, "ModelInfer", inference([tiny.RECORD]))
            except grpc.RpcError as error:
                failures.append(str(error))
            time.sleep(0.005)

        with asked_all_the_time(kept, pause=0.005), asked_all_the_time(new), asked_all_the_time(called):
            yield failures


def test_no_request_fails_while_a_model_server_is_replaced(
    platform: Home, supervisor: Supervisor, served: Model, upgraded: None
) -> None:
    before, process = pid_of(supervisor, served), ModelProcess(platform, supervisor, "flights", served.version)
    ports = process.port, process.grpc_port
    with asked(platform) as failures:
        change = ModelHandover(platform, supervisor, "flights", served.version)
        assert change.changes() == ["STARTED_WITH"]
        change.run()
    assert failures == []
    assert pid_of(supervisor, served) != before
    assert (process.port, process.grpc_port) == ports
    assert set(supervisor.states()) == {"router", process.program}
    assert change.changes() == []


def test_no_request_fails_while_the_router_is_replaced(
    platform: Home, supervisor: Supervisor, served: Model, upgraded: None
) -> None:
    before = supervisor.states()["router"].pid
    with asked(platform) as failures:
        RouterHandover(platform, supervisor).run()
    assert failures == []
    assert supervisor.states()["router"].pid not in (before, None)
    assert ROUTER_STAND_IN not in supervisor.states()
    assert not list(platform.serving.glob(f"router/{ROUTER_STAND_IN}*"))
    assert served_version(platform) == served.version


def test_a_request_that_takes_long_is_answered_by_the_process_that_has_it(
    platform: Home, supervisor: Supervisor, served: Model, upgraded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"127.0.0.1:{platform.router_port}"
    body = httpx.Request("POST", f"http://{host}", json=RECORD).content
    sent, moved, found = False, False, list[int | None]()

    def slowly() -> Iterator[bytes]:
        """Sends the rest once the second process gets the new requests and the first one waits for its last
        requests."""
        nonlocal sent, moved
        yield body[:10]
        sent = True
        moved = wait_until(lambda: own in waiting, seconds=25)
        found.append(pid_of(supervisor, served))
        yield body[10:]

    before, process = pid_of(supervisor, served), ModelProcess(platform, supervisor, "flights", served.version)
    own, waiting, inside = {process.port, process.grpc_port}, list[set[int | None]](), handover._connected

    def connected(ports: set[int | None]) -> bool:
        if busy := inside(ports):
            waiting.append(ports)
        return busy

    monkeypatch.setattr(handover, "_connected", connected)
    replies: list[httpx.Response] = []

    def ask(client: httpx.Client) -> None:
        if not sent:
            url = f"http://{host}/seldon/local/flights/api/v1.0/predictions"
            headers = {"content-length": str(len(body)), "content-type": "application/json"}
            replies.append(client.post(url, content=slowly(), headers=headers))

    with asked_all_the_time(ask):
        assert wait_until(lambda: sent, seconds=10)
        ModelHandover(platform, supervisor, "flights", served.version).run()
    assert (moved, found) == (True, [before]), "it was open as the first process was to end"
    assert [reply.status_code for reply in replies] == [200]


def test_a_release_that_does_not_start_leaves_the_process_from_before(
    platform: Home, supervisor: Supervisor, served: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pid_of(supervisor, served)

    def broken(self: ModelProcess, *ports: int) -> Any:
        program = _program(self, *ports)
        return replace(program, command=(sys.executable, "-c", "raise SystemExit('no such module')", *map(str, ports)))

    _program = ModelProcess._program
    monkeypatch.setattr(ModelProcess, "_program", broken)
    with asked(platform) as failures, pytest.raises(ServiceError, match="no such module"):
        ModelHandover(platform, supervisor, "flights", served.version).run()
    assert failures == []
    assert pid_of(supervisor, served) == before
    assert set(supervisor.states()) == {"router", f"model-flights-{served.version}"}


REPLACE = """
import sys
from sailplane.home import Home
from sailplane.deployment.local import handover
from sailplane.supervisor import Supervisor

def stops(*_):
    print("here", flush=True)
    sys.stdin.read()

{stops}
home = Home.find()
handover.ModelHandover(home, Supervisor(home), "flights", sys.argv[1]).run()
"""
MOMENTS = {
    "the second process is started": "handover.ModelHandover._require_ready = stops",
    "the router was told of it": "handover.ModelHandover._drain = stops",
    "its program is written again": "Supervisor.start = stops",
    "it is back": """
inside = handover.ModelHandover._drain
handover.ModelHandover._drain = lambda self, one: stops() if one is self.stand_in else inside(self, one)
""",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_handover_that_is_killed_fails_no_request_and_goes_on_at_the_next_try(
    platform: Home, supervisor: Supervisor, served: Model, moment: str
) -> None:
    other = replace(platform, logs_requests=False)  # Its command is another one.
    env = {
        **os.environ,
        "SAILPLANE_PROJECT": str(platform.project),
        "SAILPLANE_HOME": str(platform.root),
        "SAILPLANE_ROUTER_PORT": str(platform.router_port),
        "SAILPLANE_REQUEST_LOG": "off",
    }
    before = pid_of(supervisor, served)
    command = [sys.executable, "-P", "-c", REPLACE.format(stops=MOMENTS[moment]), served.version]
    with (
        asked(platform) as failures,
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running,
    ):
        assert running.stdout
        assert running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGKILL)
        running.wait()
        change = ModelHandover(other, supervisor, "flights", served.version)
        assert change.changes() or change.started()
        change.run()
    assert failures == []
    assert pid_of(supervisor, served) != before
    assert set(supervisor.states()) == {"router", f"model-flights-{served.version}"}
    assert change.changes() == []
    assert not change.started()


def test_what_outlived_supervisord_is_replaced_without_a_failed_request(
    platform: Home, supervisor: Supervisor, served: Model, upgraded: None
) -> None:
    before = psutil.Process(pid_of(supervisor, served))
    with asked(platform) as failures:
        os.kill(int(supervisor.pid or 0), signal.SIGKILL)
        assert wait_until(lambda: not supervisor.running(), seconds=10)
        assert supervisor.living() == {"router", f"model-flights-{served.version}"}
        supervisor.boot()
        ModelHandover(platform, supervisor, "flights", served.version).run()
    assert failures == []
    assert not before.is_running() or before.status() == psutil.STATUS_ZOMBIE
    assert Router(platform).healthy("flights", served.version)


def test_a_rollout_goes_on_while_both_of_its_versions_are_replaced(
    serving: ModelEndpoint,
    platform: Home,
    supervisor: Supervisor,
    ledger: Ledger,
    registered: Registered,
    upgraded: None,
) -> None:
    [champion] = serving.target.split().weights
    model = registered("run-2", bias=0.1)
    challenger = model.version
    serving.begin(Rollout(steps=[50, 100], bake="1s", checks=[]), model, "the test")
    drive(serving, challenger, lambda _: serving.target.split().weights.get(challenger) == 50)
    with asked(platform) as failures:
        for version in (champion, challenger):
            ModelHandover(platform, supervisor, "flights", version).run()
        assert serving.target.split().weights == {champion: 50, challenger: 50}
        assert serving.finish(challenger, poll_seconds=0.2).phase == "succeeded"
    assert failures == []
    assert serving.target.split().weights == {challenger: 100}
    assert set(supervisor.states()) == {"router", f"model-flights-{challenger}"}
