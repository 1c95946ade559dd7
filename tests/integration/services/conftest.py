from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import sailplane
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.target import TrafficSplit
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import register
from sailplane.storage import Storage
from tests.integration.deployment.routed import deploy
from tests.platform import Platform, started, until
from tests.unit.bundles import tiny

WAITING = """
import subprocess
import sys
import time
from pathlib import Path

from airflow.sdk import Param, dag, task

FOREVER = "import time; time.sleep(3600)"


@dag(params={"pids": Param("", type="string")})
def waiting():
    @task
    def wait(params):
        # Started like a training: in its own session, without a pipe to the task.
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        job = subprocess.Popen([sys.executable, "-c", FOREVER], start_new_session=True, **quiet)
        Path(params["pids"]).write_text(f"{job.pid}\\n")
        time.sleep(3600)

    wait()


waiting()
"""

HELLO = """
from airflow.sdk import dag, task


@dag
def hello():
    @task
    def greet():
        return "hello"

    greet()


hello()
"""


FAILING = """
from airflow.sdk import dag, task


@dag
def failing():
    @task
    def greet():
        raise ValueError("there is nobody to greet")

    greet()


failing()
"""


DAILY = """
from airflow.sdk import dag, task
from airflow.timetables.interval import CronDataIntervalTimetable


@dag(schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
def daily():
    @task
    def greet():
        return "hello"

    greet()


daily()
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The running services of a project with small DAGs."""
    project = tmp_path_factory.mktemp("project")
    dags = {"dags/hello.py": HELLO, "dags/waiting.py": WAITING, "dags/failing.py": FAILING, "dags/daily.py": DAILY}
    for name, text in {**dags, "include/README.md": ""}.items():
        file = project / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    # A copy of the package, which a test may change as `git pull` does.
    shutil.copytree(Path(sailplane.__file__).parent, project / "package" / "sailplane")
    accounts = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,nobody:"}
    path = str(project / "package")
    with started(tmp_path_factory.mktemp("services") / "home", project, PYTHONPATH=path, **accounts) as running:
        yield running


@pytest.fixture
def training(platform: Platform, pids_file: Path) -> Iterator[int]:
    """Yields the pid of the process that a run of the DAG `waiting` has started. The run fails at the end."""
    run = platform.trigger("waiting", {"pids": str(pids_file)})
    try:
        yield int(until(lambda: pids_file.read_text() if pids_file.exists() else None, 90, "the task"))
    finally:
        platform.api("PATCH", run.path, {"state": "failed"})


@pytest.fixture
def served(platform: Platform, tmp_path: Path) -> Iterator[tuple[str, Model]]:
    """Yields a served model and its endpoint. The router drops the model at the end."""
    home = platform.home
    ledger, storage = Ledger.at(home), Storage(home.store)
    model = register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "bundle"), storage))
    url = deploy(home, ledger, storage, model).endpoint
    try:
        yield url, model
    finally:
        Router(home).split(model.name, TrafficSplit({}))
        LocalTarget(home, storage, model.name).stop(model.version)


@pytest.fixture
def pids_file(tmp_path: Path) -> Path:
    return tmp_path / "pids"
