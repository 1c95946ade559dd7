"""Finds or creates the main DAG's run for `sailplane up`, and follows it to its end."""

from __future__ import annotations

import tomllib
from functools import partial
from typing import Any

from rich.console import Console

from sailplane.errors import ConfigurationError, ServiceError
from sailplane.home import Home
from sailplane.services.airflow_api import AirflowApi, DagRun, poll

GOES_ON = {"queued", "running"}


def main_run(home: Home, console: Console) -> int:
    """Follows the main DAG's run. Returns exit code 0 if it succeeded, else 1."""
    from sailplane.services.follow import follow
    from sailplane.services.summary import show_failure, show_summary

    name = main_dag(home)
    if name is None:
        hint = "No main DAG: name one as `main` under [tool.sailplane] in pyproject.toml to have `up` run it."
        console.print(hint, markup=False)
        return 0
    with AirflowApi(home) as api:
        run = find_run(api, name)
        console.print(f"Following {run.id}: {run.page(home)}")
        if follow(api, run, console) != "success":
            show_failure(home, api, run, console)
            return 1
        show_summary(home, api, run, console)
    return 0


def main_dag(home: Home) -> str | None:
    """`main` under `[tool.sailplane]` of the project's pyproject.toml."""
    file = home.project / "pyproject.toml"
    if not file.exists():
        return None
    main = tomllib.loads(file.read_text()).get("tool", {}).get("sailplane", {}).get("main")
    return str(main) if main else None


def find_run(api: AirflowApi, name: str) -> DagRun:
    """The latest run if it is running or succeeded; a new run if there is none, or if it failed."""
    dag = _parsed(api, name)
    latest = latest_run(api, name)
    if latest and latest["state"] == "success":
        return DagRun(name, latest["dag_run_id"])
    if dag["is_paused"]:
        api.call("PATCH", f"/dags/{name}", {"is_paused": False})
    if latest is None and dag["timetable_summary"]:
        # When a scheduled DAG is unpaused for the first time, the scheduler creates the run of the latest interval.
        latest = poll(partial(latest_run, api, name), seconds=15)
    if latest is None or latest["state"] not in GOES_ON | {"success"}:
        # Without a logical date it cannot collide with another run; its as-of is the last midnight.
        latest = api.call("POST", f"/dags/{name}/dagRuns", {"logical_date": None})
    return DagRun(name, latest["dag_run_id"])


def latest_run(api: AirflowApi, name: str) -> dict[str, Any] | None:
    """The newest run that is not a backfill, because a backfill deploys nothing."""
    runs = api.call("GET", f"/dags/{name}/dagRuns", order_by="-run_after", limit=100)["dag_runs"]
    return next((run for run in runs if run["run_type"] != "backfill"), None)


def _parsed(api: AirflowApi, name: str) -> dict[str, Any]:
    dag = poll(partial(_dag_or_its_error, api, name), seconds=90)
    if dag is None:
        raise ConfigurationError("find DAG", name, got="no DAG with that name", expected=f"dags/{name}.py")
    return dag


def _dag_or_its_error(api: AirflowApi, name: str) -> dict[str, Any] | None:
    for error in api.call("GET", "/importErrors")["import_errors"]:
        if error["filename"].endswith(f"{name}.py"):
            raise ServiceError("import", error["filename"], got=error["stack_trace"].strip())
    found = api.find(f"/dags/{name}")
    return dict(found) if found else None
