from __future__ import annotations

import subprocess
import sys

import pytest

from sailplane.provider import get_provider_info
from sailplane.views.plugin import SailplanePlugin, allowed_hosts


def test_the_ui_answers_to_local_names_and_to_those_that_a_setting_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_hosts() == ["localhost", "127.0.0.1"]
    monkeypatch.setenv("SAILPLANE_ALLOWED_HOSTS", "airflow-api-server, ml.example")
    assert allowed_hosts() == ["localhost", "127.0.0.1", "airflow-api-server", "ml.example"]


def test_the_plugin_checks_the_host_of_every_request() -> None:
    [middleware] = SailplanePlugin().fastapi_root_middlewares
    assert middleware["middleware"].__name__ == "TrustedHostMiddleware"
    assert middleware["kwargs"] == {"allowed_hosts": allowed_hosts()}


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
