"""The real services, with a separate home and ports, for tests that need them running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx

from sailplane.files import private_folder
from sailplane.home import Home
from sailplane.services import daily, logins
from sailplane.services.airflow_api import AirflowApi, DagRun
from sailplane.services.summary import log_lines
from tests.ports import free_port

T = TypeVar("T")
BOOT_SECONDS = 300


@dataclass(frozen=True)
class Platform:
    """The running services. `env` is the environment of a user's shell; `sailplane(...)` runs the command in it."""

    home: Home
    env: Mapping[str, str]

    def sailplane(self, *arguments: str, seconds: float = BOOT_SECONDS) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sailplane.cli", *arguments]
        # The parent of the home: the command must not find its project through its working directory.
        return subprocess.run(
            command,
            env=dict(self.env),
            cwd=self.home.root.parent,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )

    @cached_property
    def airflow(self) -> AirflowApi:
        """One client for all calls: each new one logs in and loads certificates, which takes longer than a poll."""
        return AirflowApi(self.home, timeout=60)

    def api(self, method: str, path: str, json: Any = None, **query: Any) -> Any:
        """Calls Airflow's REST API; `path` is relative to /api/v2. Raises ServiceError on 4xx and 5xx."""
        return self.airflow.call(method, path, json, **query)

    def link(self, user: str = "admin") -> str:
        """Returns a link that logs a browser in to the UI once."""
        return logins.link(f"http://localhost:{self.home.ui_port}", logins.issue(self.home, user))

    def http(self, user: str | None = "admin") -> httpx.Client:
        """Returns a client of the UI's server, logged in as the account; None means no login."""
        base, headers = f"http://localhost:{self.home.ui_port}", {}
        if user is not None:
            secret = {"secret": logins.issue(self.home, user)}
            answer = httpx.post(f"{base}{logins.PAGE}/token", json=secret, trust_env=False, timeout=60)
            headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        return httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60)

    @property
    def store(self) -> Path:
        """Returns the folder of the default store."""
        return Path(self.home.store.removeprefix("file://"))

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, logical_date: datetime | None = None
    ) -> DagRun:
        """Unpauses the DAG once it is parsed, and starts a run."""
        until(lambda: self._known(dag_id), 120, f"the DAG {dag_id}")
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        date = logical_date.isoformat() if logical_date else None
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": date, "conf": dict(conf or {})})
        return DagRun(dag_id, run["dag_run_id"])

    def wait(self, run: DagRun, seconds: float = 300) -> str:
        """Waits for the end of the run. Returns its state, `success` or `failed`, and prints the logs of failed
        tasks."""
        state = str(until(lambda: self._ended(run), seconds, f"the end of {run.id}", pause=1.0))
        if state != "success":
            print(self.task_logs(run))
        return state

    def tasks(self, run: DagRun) -> dict[str, list[str]]:
        """Returns the states of each task's instances, by task id."""
        states: dict[str, list[str]] = {}
        for instance in self.api("GET", f"{run.path}/taskInstances", limit=100)["task_instances"]:
            states.setdefault(instance["task_id"], []).append(instance["state"])
        return states

    def xcom(self, run: DagRun, task: str, map_index: int = -1) -> Any:
        return self.airflow.xcom(run, task, map_index)

    def task_logs(self, run: DagRun, state: str = "failed") -> str:
        instances = self.api("GET", f"{run.path}/taskInstances", limit=100)["task_instances"]
        chosen = [i for i in instances if i["state"] == state]
        return "\n".join(f"== {i['task_id']}\n" + "\n".join(log_lines(self.airflow, run, i)) for i in chosen)

    def service_logs(self, lines: int = 40) -> str:
        files = sorted(self.home.logs.glob("*.log"))
        return "\n".join(f"== {f.name}\n" + "\n".join(f.read_text().splitlines()[-lines:]) for f in files)

    def _known(self, dag_id: str) -> bool | None:
        return True if self.airflow.find(f"/dags/{dag_id}") else None

    def _ended(self, run: DagRun) -> str | None:
        state = self.api("GET", run.path)["state"]
        return state if state in ("success", "failed") else None


@contextmanager
def started(root: Path, project: Path, **settings: str) -> Iterator[Platform]:
    """Runs `sailplane up --no-run`, and `down` at the end. The services' logs are printed if they do not start."""
    platform = new_platform(root, project, **settings)
    with platform.airflow:
        try:
            ended = platform.sailplane("up", "--no-run")
            assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{platform.service_logs()}"
            yield platform
        finally:
            platform.sailplane("down")


def new_platform(root: Path, project: Path, **settings: str) -> Platform:
    """Makes a platform without starting it. No schedule makes runs, so a test has only the runs that it triggers."""
    ours = ("AIRFLOW", "SAILPLANE_", "WANDB_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    env |= {
        "SAILPLANE_HOME": str(root),
        "SAILPLANE_PROJECT": str(project),
        "SAILPLANE_UI_PORT": str(free_port()),
        "SAILPLANE_ROUTER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        # A file that changes is parsed again at once. Parsing the others again would only take time from the tests.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "WANDB_MODE": "offline",
        **settings,
    }
    platform = Platform(Home.find(env), env)
    _put_off_housekeeping(platform.home)
    return platform


def _put_off_housekeeping(home: Home) -> None:
    """Postpones housekeeping, which would otherwise run five minutes after the first start, and only on some
    platforms."""
    now = time.time()
    done = {" ".join(command): daily.CommandRecord(started=now, ended=now, succeeded=now) for command in daily.COMMANDS}
    private_folder(home.root)
    daily.write(home.daily, done)


def until(what: Callable[[], T | None], seconds: float, name: str, pause: float = 0.2) -> T:
    """Polls for the first result that is not None. Fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := what()) is None:
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {name}"
        time.sleep(pause)
    return found
