"""Airflow reads its environment at import, so it is set here, before any test module is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.platform import Platform

PROJECT = Path(__file__).parents[1]
STATE = Path(tempfile.mkdtemp(prefix="sailplane-tests-"))
atexit.register(shutil.rmtree, STATE, ignore_errors=True)

# A developer's own settings must not change the results.
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "SAILPLANE_", "WANDB_"))]:
    del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(STATE / "airflow"),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{STATE / 'airflow.db'}",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    ORT_DISABLE_TELEMETRY="1",
    SAILPLANE_PROJECT=str(PROJECT),
    SAILPLANE_HOME=str(STATE / "home"),
    WANDB_MODE="offline",
    WANDB_SILENT="true",
)

pytest_plugins = ["tests.programs", "tests.without_torch"]

# These tests share the platform over the real project, so one worker runs them all and starts it once.
OF_THE_PLATFORM = (
    "tests/end_to_end/test_flights.py",
    "tests/end_to_end/test_digits.py",
    "tests/browser/test_ui.py",
    "tests/browser/test_login.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Like `--dist loadfile`, but these files stay together."""
    from xdist.scheduler import LoadFileScheduling

    class ByPlatform(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "the platform" if file in OF_THE_PLATFORM else file

    return ByPlatform(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def unpinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A task uses a run's copy of the code to its end; resets that, so the next test loads the project's code."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    yield
    code = sys.modules.get("sailplane.code")
    if code is not None and code._used:
        code._used.clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "include"]:
            del sys.modules[name]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The running services over the real project, started once for all end-to-end tests."""
    from tests.platform import started

    with started(tmp_path_factory.mktemp("platform") / "home", PROJECT) as running:
        yield running
