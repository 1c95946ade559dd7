from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def airflow(*arguments: str) -> str:
    """Runs an Airflow command over this project's plugins folder (tests/conftest.py sets it)."""
    command = [sys.executable, "-W", "ignore", "-m", "airflow", *arguments, "--output", "json"]
    ended = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120, check=True)
    return ended.stdout[ended.stdout.index("[") :]


def test_airflow_finds_the_plugin_once() -> None:
    found = json.loads(airflow("plugins"))
    assert [plugin["name"] for plugin in found] == ["sailplane"]


def test_airflow_lists_the_provider() -> None:
    packages = [provider["package_name"] for provider in json.loads(airflow("providers", "list"))]
    assert "sailplane" in packages


def test_airflow_lists_the_link_to_a_report() -> None:
    found = json.loads(airflow("providers", "links"))
    assert "sailplane.operators.links.ReportLink" in [link["extra_link_class_name"] for link in found]


def test_airflow_runs_no_file_of_the_package_as_a_plugin(tmp_path: Path) -> None:
    script = "from airflow.plugins_manager import get_import_errors; print(get_import_errors())"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.splitlines()[-1:] == ["{}"], ended.stdout + ended.stderr
