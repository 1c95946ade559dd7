"""With a token: clients that have it are answered, over HTTP, gRPC and by every command. Nobody else is answered, and
nobody can read the token."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import grpc
import httpx
import psutil
import pytest

from sailplane.algorithmia.twin.execution import Input
from sailplane.algorithmia.twin.served import answer
from sailplane.commands.predict import predict
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.local.source import LocalSource
from sailplane.deployment.token import take_token
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.services.served import curl, example, served
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.routed import deploy
from tests.integration.serving.test_grpc import call, inference, refused
from tests.unit.bundles import tiny


def taken(home: Home, token: str) -> Home:
    """Takes the token as `make up` does."""
    file = home.root.parent / "secret"
    file.write_text(f"{token}\n")
    given = replace(home, token=file)
    take_token(given)
    return given


def status(home: Home, token: str = "") -> int:
    url = f"http://127.0.0.1:{home.router_port}/seldon/local/flights/api/v1.0/predictions"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(url, json={"jsonData": tiny.RECORD}, headers=headers, trust_env=False).status_code


def test_who_has_the_token_is_answered_and_nobody_else(
    platform: Home,
    supervisor: Supervisor,
    ledger: Ledger,
    storage: Storage,
    registered: Callable[..., Model],
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = taken(platform, "first-token")
    model = registered("run-1")
    deploy(home, ledger, storage, model)
    assert (status(home), status(home, "other"), status(home, "first-token")) == (401, 401, 200)

    assert predict(home, "flights", None) == 0
    assert '"ndarray"' in capsys.readouterr().out
    deployment = served(home, "flights")
    assert deployment
    line = curl(home, deployment, example(home, deployment))
    assert "first-token" not in line
    assert '"ndarray"' in subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert set(answer(home, "flights", None, Input("json", tiny.RECORD), 10).result) == {"late"}
    assert LocalSource(home, "flights").observed(model.version).requests >= 4
    with grpc.insecure_channel(f"127.0.0.1:{home.router_port}") as channel:
        assert call(channel, "ModelInfer", inference([tiny.RECORD]), token="first-token").outputs
        code, _ = refused(channel, "ModelInfer", inference([tiny.RECORD]), token="other")
        assert code == grpc.StatusCode.UNAUTHENTICATED

    assert supervisor.pid
    running = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
    assert len(running) >= 3
    assert [p for p in running if "first-token" in f"{p.cmdline()} {p.environ()}"] == []
    telling = [path for path in home.root.rglob("*") if path.is_file() and b"first-token" in path.read_bytes()]
    assert telling == [home.serving / "token"]


def test_another_token_is_taken_by_what_is_served(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Callable[..., Model]
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    assert status(platform) == 200
    for token, before in (("one", ""), ("two", "one"), ("", "two")):
        if token:
            taken(platform, token)
        else:
            take_token(platform)
        renew(platform)
        supervisor.update()
        assert wait_until(lambda token=token: status(platform, token) == 200, seconds=60)  # type: ignore[misc]
        assert not token or status(platform, before) == 401
