"""Shows the progress of a run: a line for each task, in the order of the DAG."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sailplane.errors import ServiceError
from sailplane.services.airflow_api import AirflowApi, DagRun

ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")
RUN_SECONDS = 6 * 3600
COLOURS = {"success": "green", "running": "cyan", "failed": "red", "upstream_failed": "red", "skipped": "magenta"}


@dataclass(frozen=True)
class Line:
    """The line of a task, with all its mapped instances."""

    task: str
    state: str
    seconds: float | None

    def __str__(self) -> str:
        return f"{self.task}: {self.state}" + (f" ({self.seconds:.0f} s)" if self.seconds is not None else "")


def follow(api: AirflowApi, run: DagRun, console: Console) -> str:
    """Follows the run and returns its final state. Without a terminal, prints a line for each change of a task's
    state."""
    order = task_order(api.call("GET", f"/dags/{run.dag}/tasks")["tasks"])
    shown: dict[str, str] = {}
    deadline = time.monotonic() + RUN_SECONDS
    with Live(console=console, refresh_per_second=4) if console.is_terminal else nullcontext() as live:
        while time.monotonic() < deadline:
            state = str(api.call("GET", run.path)["state"])
            lines = task_lines(order, api.call("GET", f"{run.path}/taskInstances", limit=100)["task_instances"])
            if live:
                live.update(_table(lines))
            else:
                _print_changes(lines, shown, console)
            if state in ENDED:
                return state
            time.sleep(0.5)
    raise ServiceError("follow", run.id, got=f"it still runs after {RUN_SECONDS / 3600:.0f} hours")


def task_order(tasks: Iterable[dict[str, Any]]) -> list[str]:
    graph: dict[str, set[str]] = {task["task_id"]: set() for task in tasks}
    for task in tasks:
        for downstream in task["downstream_task_ids"] or ():
            graph[downstream].add(task["task_id"])
    return list(TopologicalSorter(graph).static_order())


def task_lines(order: list[str], instances: Iterable[dict[str, Any]]) -> list[Line]:
    groups: dict[str, list[dict[str, Any]]] = {task: [] for task in order}
    for instance in instances:
        groups.setdefault(instance["task_id"], []).append(instance)
    return [_line(task, group) for task, group in groups.items()]


def _line(task: str, group: list[dict[str, Any]]) -> Line:
    states = [instance["state"] or "waiting" for instance in group] or ["waiting"]
    name = f"{task} ×{len(group)}" if len(group) > 1 else task
    return Line(name, _most_urgent(states), _seconds(group))


def _most_urgent(states: list[str]) -> str:
    # The state of the most urgent instance stands for all.
    urgent = ("failed", "up_for_retry", "running", "queued", "scheduled", "waiting")
    return next((state for state in urgent if state in states), states[0])


def _seconds(group: list[dict[str, Any]]) -> float | None:
    starts = [datetime.fromisoformat(i["start_date"]) for i in group if i["start_date"]]
    if not starts:
        return None
    ended = [datetime.fromisoformat(i["end_date"]) if i["end_date"] else datetime.now(UTC) for i in group]
    return (max(ended) - min(starts)).total_seconds()


def _table(lines: list[Line]) -> Table:
    table = Table("task", "state", "seconds", box=None)
    for line in lines:
        state = f"[{COLOURS.get(line.state, 'dim')}]{line.state}[/]"
        table.add_row(line.task, state, "" if line.seconds is None else f"{line.seconds:.0f}")
    return table


def _print_changes(lines: list[Line], shown: dict[str, str], console: Console) -> None:
    for line in lines:
        task = line.task.split(" ")[0]
        if line.state in (*ENDED, "running", "deferred", "up_for_retry") and shown.get(task) != line.state:
            console.print(str(line))
            shown[task] = line.state
