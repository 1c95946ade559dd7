from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import sailplane
from tests.platform import Platform, started

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
        # As a training is started: a session of its own, and no pipe of the task.
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
    """The services over a project of small DAGs."""
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
def pids_file(tmp_path: Path) -> Path:
    return tmp_path / "pids"
