from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sailplane.evaluation.details import REPORTS
from sailplane.provider import get_provider_info
from sailplane.views.plugin import SailplanePlugin


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


def app() -> ASGIApp:
    [middleware] = SailplanePlugin().fastapi_root_middlewares
    made: ASGIApp = middleware["middleware"](_hello, *middleware["args"], **middleware["kwargs"])
    return made


def guarded(path: str, headers: dict[str, str]) -> Message:
    """Returns the start of the answer. The path reaches the application unchanged; httpx would resolve `..`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    given = [(name.lower().encode(), value.encode()) for name, value in {"Host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": given}
    asyncio.run(app()(scope, receive, send))
    return sent[0]


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "localhost:8080", 200),
        ("/", "evil.example", 400),
        ("/api/v2/dags", "tunnel.example", 400),
        ("/sailplane/sweeps", "tunnel.example", 400),
        ("/sailplane/reports/toy/r/report.html", "tunnel.example", 400),
        ("/sailplane/sweeps/1a2b", "tunnel.example", 200),
        ("/sailplane/sweeps/../../api/v2/dags", "tunnel.example", 400),
        ("//sailplane/sweeps/1a2b", "tunnel.example", 400),
        ("/sailplane/SWEEPS/1a2b", "tunnel.example", 400),
        ("/sailplane/sweeps/1a2b", "", 400),
        ("/sailplane/sweeps/1a2b", "localhost", 200),
    ],
)
def test_a_foreign_host_name_reaches_shared_sweeps_and_nothing_else(path: str, host: str, status: int) -> None:
    assert guarded(path, {"Host": host})["status"] == status


@pytest.mark.parametrize("path", ["/", "/api/v2/dags", "/execution/run", "/sailplane/sweeps/1a2b/ask"])
def test_a_page_of_another_origin_is_refused_everywhere_and_frames_nothing(path: str) -> None:
    assert guarded(path, {"Origin": "https://evil.example"})["status"] == 403
    assert (b"x-frame-options", b"SAMEORIGIN") in guarded(path, {"Origin": "http://localhost"})["headers"]


def test_a_page_that_airflows_own_setting_lets_in_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__ACCESS_CONTROL_ALLOW_ORIGINS", "https://app.example")
    assert guarded("/", {"Origin": "https://app.example"})["status"] == 200


def test_a_websocket_of_a_foreign_page_is_closed_before_it_opens() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"localhost"), (b"origin", b"https://evil.example")]
    asyncio.run(app()({"type": "websocket", "path": "/", "headers": headers}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_shared_sweeps_are_below_the_path_that_is_open() -> None:
    app = next(app for app in SailplanePlugin().fastapi_apps if app["name"] == "Shared sweeps")
    [middleware] = SailplanePlugin().fastapi_root_middlewares
    assert middleware["kwargs"]["any_host_below"] == f"{app['url_prefix']}/"


def test_a_report_needs_airflows_login() -> None:
    app = next(app for app in SailplanePlugin().fastapi_apps if app["name"] == "Reports")
    assert app["url_prefix"] == REPORTS

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app["app"]), base_url="http://localhost") as client:
            return await client.get("/toy/r/report.html")

    assert asyncio.run(asked()).status_code == 401


@pytest.mark.slow
def test_a_task_that_imports_the_plugin_does_not_pay_for_a_web_framework() -> None:
    script = """
import sys
from airflow.plugins_manager import AirflowPlugin
before = set(sys.modules)
import sailplane.views.plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("sailplane")))
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_provider_has_what_airflow_requires() -> None:
    assert {"package-name", "name", "description", "versions"} <= set(get_provider_info())
