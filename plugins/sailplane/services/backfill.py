"""Creates a backfill through Airflow's API and follows it to its end."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from rich.console import Console
from rich.live import Live

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.records import SOURCE_DELAY, Interval
from sailplane.services.airflow_api import AirflowApi, RefusedError, poll
from sailplane.services.launch import airflow_command

ENDED: Final = ("success", "failed")
PAGE: Final = 100
# Airflow checks every 30 s whether a backfill has ended.
COMPLETED_SECONDS: Final = 60.0
States = Mapping[datetime, str]


def create(home: Home, arguments: Sequence[str]) -> int:
    """Airflow's own `backfill create`, which is silent about runs that will not start; returns its exit code."""
    command, environment = airflow_command(home, arguments)
    code = subprocess.run(command, env=environment).returncode
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dag-id")
    parser.add_argument("--dry-run", action="store_true")
    given, _ = parser.parse_known_args(arguments)
    if code == 0 and given.dag_id and not given.dry_run and (reason := _waits(home, given.dag_id)):
        sys.stderr.write(f"sailplane: {reason}\n")
    return code


def _waits(home: Home, dag: str) -> str | None:
    with AirflowApi(home) as api:
        if api.health() is None:
            return "Airflow is not running: the runs of this backfill wait for `sailplane up`."
        if (api.find(f"/dags/{dag}") or {}).get("is_paused"):
            remedy = f"Switch it on in the UI, or by `sailplane airflow dags unpause {dag}`."
            return f"{dag} is paused: the runs of this backfill wait until it is switched on. {remedy}"
    return None


class Backfill:
    """The runs of a DAG's schedule whose interval starts in `period`."""

    def __init__(self, api: AirflowApi, dag: str, period: Interval) -> None:
        self._api, self._dag, self._period = api, dag, period
        self._days: frozenset[datetime] = frozenset()

    def create(self, *, at_a_time: int, again: bool) -> None:
        """Creates the runs that are missing or failed; with `again`, also those that succeeded. ConfigurationError, in
        Airflow's words, if Airflow refuses."""
        self._check()
        body = {"dag_id": self._dag, "max_active_runs": at_a_time, **self._bounds("from_date", "to_date")}
        body["reprocess_behavior"] = "completed" if again else "failed"
        try:
            planned = self._api.call("POST", "/backfills/dry_run", body)["backfills"]
            self._days = frozenset(self._day(run) for run in planned)
            if self._days:
                self._post(body)
        except RefusedError as refusal:
            raise self._refused(refusal.detail) from refusal

    def follow(self, console: Console) -> list[datetime]:
        """Returns the days whose runs failed. Without a terminal, prints a line for each run that ends."""
        shown: set[datetime] = set()
        with Live(console=console, refresh_per_second=4) if console.is_terminal else nullcontext() as live:
            while True:
                states = self._states()
                if live:
                    live.update(self._progress(states))
                for day in sorted(set(states) - shown if not live else ()):
                    if states[day] in ENDED:
                        console.print(f"{day:%Y-%m-%d}: {states[day]}")
                        shown.add(day)
                if all(states.get(day) in ENDED for day in self._days):
                    return sorted(day for day, state in states.items() if state == "failed")
                time.sleep(1)

    def _check(self) -> None:
        dag = self._api.find(f"/dags/{self._dag}")
        if dag is None:
            remedy = "`sailplane airflow dags list` lists them."
            raise ConfigurationError("find DAG", self._dag, got="no DAG with that name", remedy=remedy)
        if dag["is_paused"]:
            raise self._refused("it is paused, so its runs would wait", "Switch it on in Airflow, or pass --no-run.")
        self._check_last_day()

    def _check_last_day(self) -> None:
        """ConfigurationError if the source's declared delay has not passed for the last day: its run would fail."""
        params = [task["params"] for task in self._api.call("GET", f"/dags/{self._dag}/tasks")["tasks"]]
        delays = [float(param[SOURCE_DELAY]["value"]) for param in params if SOURCE_DELAY in (param or {})]
        known = self._period.end + timedelta(seconds=max(delays, default=0.0))
        if datetime.now(UTC) < known:
            last = self._period.end - timedelta(days=1)
            got = f"--to {last:%Y-%m-%d} is complete from {known:%Y-%m-%d %H:%M} UTC on, by its source's delay"
            raise self._refused(got, "Run it after that, or name an earlier day.")

    def _post(self, body: Mapping[str, Any]) -> None:
        """Retries while Airflow has not yet noticed that all runs of another backfill have ended."""
        while True:
            try:
                self._api.call("POST", "/backfills", body)
                return
            except RefusedError as refusal:
                if refusal.status != httpx.codes.CONFLICT:
                    raise
            if self._unfinished() or not poll(self._completed, COMPLETED_SECONDS, every=1):
                remedy = "Wait until it ends, or cancel it in Airflow's UI."
                raise self._refused("another backfill of this DAG is running", remedy)

    def _unfinished(self) -> int:
        runs = [
            self._api.call("GET", f"/dags/{self._dag}/dagRuns", run_type="backfill", state=state, limit=1)[
                "total_entries"
            ]
            for state in ("queued", "running")
        ]
        return sum(runs)

    def _completed(self) -> bool | None:
        found = self._api.call("GET", "/backfills", dag_id=self._dag, order_by="-id", limit=PAGE)["backfills"]
        return True if all(backfill["completed_at"] for backfill in found) else None

    def _states(self) -> dict[datetime, str]:
        return {day: run["state"] for run in self._runs() if (day := self._day(run)) in self._days}

    def _runs(self) -> Iterator[dict[str, Any]]:
        path, bounds = f"/dags/{self._dag}/dagRuns", self._bounds("logical_date_gte", "logical_date_lte")
        offset = 0
        while found := self._api.call("GET", path, limit=PAGE, offset=offset, **bounds)["dag_runs"]:
            yield from found
            offset += PAGE

    def _bounds(self, first: str, last: str) -> dict[str, str]:
        """The period as Airflow's inclusive bounds."""
        end = self._period.end - timedelta(seconds=1)
        return {first: self._period.start.isoformat(), last: end.isoformat()}

    def _day(self, run: Mapping[str, Any]) -> datetime:
        if run["logical_date"] is None:
            expected = "a schedule of data intervals, such as CronDataIntervalTimetable"
            raise ConfigurationError("backtest", self._dag, got="a schedule of partitions", expected=expected)
        return datetime.fromisoformat(run["logical_date"])

    def _progress(self, states: States) -> str:
        counted = Counter(states.values())
        done = f"{counted['success']} of {len(self._days)} days done"
        parts = [f"{counted[state]} {state}" for state in ("running", "queued", "failed") if counted[state]]
        return f"{self._dag}: {', '.join([done, *parts])}"

    def _refused(self, got: str, remedy: str = "") -> ConfigurationError:
        return ConfigurationError("backtest", self._dag, got=got, remedy=remedy)
