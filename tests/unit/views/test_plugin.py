from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sailplane.evaluation.details import REPORTS
from sailplane.provider import get_provider_info
from sailplane.views.plugin import SailplanePlugin, allowed_hosts


def test_the_ui_answers_to_local_names_and_to_those_that_a_setting_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_hosts() == ["localhost", "127.0.0.1"]
    monkeypatch.setenv("SAILPLANE_ALLOWED_HOSTS", "airflow-api-server, ml.example")
    assert allowed_hosts() == ["localhost", "127.0.0.1", "airflow-api-server", "ml.example"]


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


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
        ("/sailplane/sweeps/1a2b", "localhost", 200),
    ],
)
def test_a_foreign_host_name_reaches_shared_sweeps_and_nothing_else(path: str, host: str, status: int) -> None:
    [middleware] = SailplanePlugin().fastapi_root_middlewares
    guarded = middleware["middleware"](_hello, *middleware["args"], **middleware["kwargs"])

    async def asked() -> int:
        transport = httpx.ASGITransport(guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(path, headers={"Host": host})).status_code

    assert asyncio.run(asked()) == status


def test_shared_sweeps_are_below_the_path_that_is_open() -> None:
    app = next(app for app in SailplanePlugin().fastapi_apps if app["name"] == "Shared sweeps")
    [middleware] = SailplanePlugin().fastapi_root_middlewares
    assert middleware["kwargs"]["open_below"] == f"{app['url_prefix']}/"


def test_a_report_needs_airflows_login() -> None:
    app = next(app for app in SailplanePlugin().fastapi_apps if app["name"] == "Reports")
    assert app["url_prefix"] == REPORTS

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app["app"]), base_url="http://localhost") as client:
            return await client.get("/toy/r/report.html")

    assert asyncio.run(asked()).status_code == 401


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
