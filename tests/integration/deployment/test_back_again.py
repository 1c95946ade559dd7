"""Served versions come back after a restart. Without the services nothing is served."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import httpx
import psutil
import pytest

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import call, wait_until
from sailplane.deployment.local.endpoint import deployments
from sailplane.errors import DeploymentError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.routed import RECORD, deploy, pid_of, served_version

Registered = Callable[..., Model]


def test_a_killed_model_server_comes_back(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deployment = deploy(platform, ledger, storage, model)
    pid = pid_of(supervisor, model)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: httpx.post(deployment.endpoint, json=RECORD).status_code == 503, seconds=10, every=0.01)
    refused = httpx.post(deployment.endpoint, json=RECORD)
    if refused.status_code == 503:
        assert "No healthy server" in refused.json()["error"]
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)
    assert pid_of(supervisor, model) != pid


def test_everything_that_was_served_comes_back_after_a_shutdown_or_a_crash(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    ports = [platform.router_port, *Router(platform).ports().values()]
    supervisor.shutdown()
    assert [call(port, "GET", "/v2/health/live").status for port in ports] == [0, 0]
    supervisor.boot()
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)

    pid = supervisor.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not psutil.pid_exists(pid), seconds=10)
    assert served_version(platform) == model.version
    supervisor.boot()
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)
    assert deploy(platform, ledger, storage, model).version == model.version


def test_without_the_services_the_remedy_is_make_up(
    home: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    with pytest.raises(DeploymentError, match=r"the router is not running.*make up"):
        deploy(home, ledger, storage, model)
    supervisor.shutdown()
    with pytest.raises(DeploymentError, match=r"not running.*make up"):
        deploy(home, ledger, storage, model)
    assert deployments(ledger) == []


def test_a_router_that_is_killed_again_and_again_is_waited_for(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")

    def backs_off() -> bool:
        state = supervisor.states()["router"]
        if state.pid:
            with suppress(ProcessLookupError):
                os.kill(state.pid, signal.SIGKILL)
        return state.state == "BACKOFF"

    assert wait_until(backs_off, seconds=30, every=0.01)
    assert deploy(platform, ledger, storage, model).version == model.version
    assert served_version(platform) == model.version
