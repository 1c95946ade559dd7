"""The services started by `sailplane up`. The tests run in the order of the file: each finds the services running, and
the last one stops them.

They take two minutes: starting all services, restarting them and running DAGs takes most of it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import pytest

from sailplane.commands import clean
from sailplane.records import Model
from sailplane.services.environment import AIRFLOW
from sailplane.services.orphans import marked
from sailplane.supervisor import Program, Supervisor
from tests.background_load import asked_all_the_time
from tests.integration.services.surface import ANY_ACCOUNT, LOOKS_FIRST, OPEN, TOKENS, Call
from tests.integration.services.surface import calls as surface_calls
from tests.platform import Platform, until
from tests.unit.bundles import tiny

SERVICES = {"api-server", "scheduler", "dag-processor", "triggerer", "router", "request-log", "daily"}


def status(platform: Platform) -> dict[str, dict[str, object]]:
    return {s["name"]: s for s in json.loads(platform.sailplane("status", "--json").stdout)["services"]}


def test_airflow_reports_all_four_components_healthy(platform: Platform) -> None:
    """It takes most of a minute: the fixture `platform` starts all services."""
    health = platform.api("GET", "/monitor/health")
    assert {name: report["status"] for name, report in health.items()} == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }


def test_status_lists_every_service_as_running_with_its_address(platform: Platform) -> None:
    services = status(platform)
    assert set(services) == SERVICES
    assert {service["state"] for service in services.values()} == {"running"}
    assert all(psutil.pid_exists(int(str(service["pid"]))) for service in services.values())
    assert services["api-server"]["url"] == f"http://localhost:{platform.home.ui_port}"
    assert services["router"]["port"] == platform.home.router_port
    assert platform.sailplane("status").returncode == 0


def test_a_run_of_a_dag_succeeds(platform: Platform) -> None:
    run = platform.trigger("hello")
    assert platform.wait(run) == "success"
    assert platform.xcom(run, "greet") == "hello"


def test_a_backfill_of_a_paused_dag_says_that_it_waits(platform: Platform) -> None:
    until(lambda: True if "daily" in {d["dag_id"] for d in platform.api("GET", "/dags")["dags"]} else None, 90, "daily")

    def backfill(day: str, *more: str) -> str:
        bounds = ("--from-date", day, "--to-date", day)
        ended = platform.sailplane("airflow", "backfill", "create", "--dag-id", "daily", *bounds, *more)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    waits = "sailplane: daily is paused: the runs of this backfill wait until it is switched on."
    assert waits in backfill("2026-10-01")
    assert waits not in backfill("2026-10-02", "--dry-run")
    platform.api("PATCH", "/dags/daily", {"is_paused": False})
    for made in platform.api("GET", "/backfills", dag_id="daily")["backfills"]:
        platform.api("PUT", f"/backfills/{made['id']}/cancel")
    assert "sailplane:" not in backfill("2026-10-03")


def test_every_socket_listens_on_loopback_only(platform: Platform) -> None:
    processes = marked(platform.home)
    listening = {
        (c.laddr.ip, c.laddr.port)
        for process in processes
        for c in process.net_connections(kind="inet")
        if c.status == psutil.CONN_LISTEN or not c.raddr
    }
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert {port for _, port in listening} >= {platform.home.ui_port, platform.home.router_port}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/api/v2/version", "/execution/health"])
def test_the_ui_refuses_a_foreign_host_name(platform: Platform, host: str, path: str) -> None:
    url = f"http://127.0.0.1:{platform.home.ui_port}{path}"
    assert httpx.get(url, headers={"Host": host}, trust_env=False, timeout=60).status_code == 400
    assert httpx.get(url, trust_env=False, timeout=60).status_code < 400


@pytest.fixture(scope="module")
def surface(platform: Platform) -> list[Call]:
    return surface_calls(platform)


def test_every_route_of_the_ui_asks_for_a_login(platform: Platform, surface: list[Call]) -> None:
    with platform.http(None) as client:
        answers = {call: call.ask(client) for call in surface if not call.declared(OPEN)}
    assert {str(call): status for call, status in answers.items() if status != 401} == {}


def test_no_route_of_the_ui_answers_a_page_of_another_origin(platform: Platform, surface: list[Call]) -> None:
    for origin in ("https://evil.example", "http://localhost:3000", "null"):
        with platform.http() as client:
            answers = {call: call.ask(client, {"Origin": origin}) for call in surface}
        assert {str(call): status for call, status in answers.items() if status != 403} == {}, origin


def test_an_account_without_a_role_may_do_nothing(platform: Platform, surface: list[Call]) -> None:
    closed = [call for call in surface if not call.declared({**OPEN, **ANY_ACCOUNT})]
    with platform.http("nobody") as client:
        answers = {call: call.ask(client) for call in closed}
    refused = {call: (401, 403) if call.declared(TOKENS) else (403, *LOOKS_FIRST) for call in closed}
    assert {str(call): status for call, status in answers.items() if status not in refused[call]} == {}
    ours = [answers[call] for call in closed if call.path.startswith("/sailplane/") and not call.declared(TOKENS)]
    assert set(ours) == {403}


def test_a_viewer_may_change_nothing(platform: Platform, surface: list[Call]) -> None:
    changing = [call for call in surface if call.changes and not call.declared({**OPEN, **ANY_ACCOUNT, **TOKENS})]
    with platform.http("viewer") as client:
        answers = {call: call.ask(client) for call in changing}
        assert client.get("/api/v2/dags").status_code == 200
        hello = "/api/v2/dags/hello"
        assert client.patch(hello, json={"is_paused": False}).status_code == 403
        assert client.post(f"{hello}/dagRuns", json={"logical_date": None}).status_code == 403
        assert client.post("/api/v2/connections", json={"connection_id": "c", "conn_type": "fs"}).status_code == 403
    assert {str(call): status for call, status in answers.items() if status not in (403, *LOOKS_FIRST)} == {}


def test_every_exception_that_is_declared_is_a_route(surface: list[Call]) -> None:
    declared = {**OPEN, **ANY_ACCOUNT, **TOKENS}
    assert [prefix for prefix in declared if not any(call.declared({prefix: ""}) for call in surface)] == []


def test_no_file_of_the_home_is_open_to_other_users(platform: Platform) -> None:
    home = platform.home.root
    files = [home, *(Path(folder, name) for folder, folders, names in os.walk(home) for name in folders + names)]
    names = {file.name for file in files}
    open_to_others = [f for f in files if not f.is_symlink() and stat.S_IMODE(f.lstat().st_mode) & 0o077]
    assert {"secrets.json", "passwords.json", "airflow.db", "scheduler.log", "attempt=1.log"} <= names
    assert open_to_others == []


def test_a_second_up_changes_nothing_and_is_back_at_once(platform: Platform) -> None:
    before = {name: service["pid"] for name, service in status(platform).items()}
    started = time.monotonic()
    ended = platform.sailplane("up", "--no-run")
    assert ended.returncode == 0, ended.stderr
    assert time.monotonic() - started < 30
    assert {name: service["pid"] for name, service in status(platform).items()} == before


def test_up_runs_the_main_dag_once_and_shows_it_again_the_second_time(platform: Platform) -> None:
    (platform.home.project / "pyproject.toml").write_text('[tool.sailplane]\nmain = "hello"\n')
    ended = platform.sailplane("up")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "greet: success" in ended.stdout
    runs = platform.api("GET", "/dags/hello/dagRuns")["total_entries"]
    assert platform.sailplane("up").returncode == 0
    assert platform.api("GET", "/dags/hello/dagRuns")["total_entries"] == runs


def test_up_shows_why_the_main_dag_failed_and_runs_it_again_once_it_is_mended(platform: Platform) -> None:
    (platform.home.project / "pyproject.toml").write_text('[tool.sailplane]\nmain = "failing"\n')
    ended = platform.sailplane("up")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Task greet failed" in ended.stdout
    assert "ValueError: there is nobody to greet" in ended.stdout
    assert f"http://localhost:{platform.home.ui_port}/dags/failing/runs/" in ended.stdout

    dag = platform.home.project / "dags" / "failing.py"
    dag.write_text(dag.read_text().replace('raise ValueError("there is nobody to greet")', 'return "hello"'))
    ended = platform.sailplane("up")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_killed_scheduler_comes_back_without_its_old_workers_and_spares_a_training(
    platform: Platform, pids_file: Path
) -> None:
    run = platform.trigger("waiting", {"pids": str(pids_file)})
    training = int(until(lambda: pids_file.read_text() if pids_file.exists() else None, 90, "the task"))
    scheduler = int(str(status(platform)["scheduler"]["pid"]))
    own = os.getsid(scheduler)
    family = [p for p in marked(platform.home, "scheduler") if os.getsid(p.pid) == own]
    # The scheduler, its four workers, and the running task, which has its own process group.
    assert len(family) == 6

    os.kill(scheduler, signal.SIGKILL)

    supervisor = Supervisor(platform.home)
    until(lambda: supervisor.states()["scheduler"].pid not in (None, scheduler) or None, 120, "the new scheduler")
    until(lambda: status(platform)["scheduler"]["state"] == "running" or None, 120, "its start")
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert psutil.pid_exists(training)
    platform.api("PATCH", run.path, {"state": "failed"})
    assert platform.wait(platform.trigger("hello")) == "success"


def test_up_restarts_what_was_started_by_an_earlier_release_one_by_one_and_no_request_fails(
    platform: Platform, served: tuple[str, Model], training: int
) -> None:
    supervisor, (url, model), replies = Supervisor(platform.home), served, list[httpx.Response]()
    supervisor.put(Program("algorithmia", ("sleep", "600")))
    supervisor.update()
    before = {name: state.pid for name, state in supervisor.states().items()}

    with (platform.home.project / "package" / "sailplane" / "home.py").open("a") as pulled:
        pulled.write("# Another release.\n")
    with asked_all_the_time(
        lambda client: replies.append(client.post(url, json={"jsonData": tiny.RECORD})), pause=0.01
    ):
        ended = platform.sailplane("up", "--no-run", seconds=900)
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{platform.service_logs()}"

    assert replies
    assert [reply.text for reply in replies if reply.status_code != 200] == []
    after = {name: state.pid for name, state in supervisor.states().items()}
    restarted = [*AIRFLOW, "request-log", "daily", f"model-{model.name}-{model.version}"]
    assert set(after) == set(before) - {"algorithmia"} == {*restarted, "router"}
    assert after["router"] == before["router"], "Envoy is the same one"
    began = [psutil.Process(after[name]).create_time() for name in restarted]
    assert began == sorted(began), "one after the other, in this order"
    assert not {after[name] for name in restarted} & set(before.values())
    said = [line for line in ended.stdout.splitlines() if line.startswith(("Restarting", "Stopping"))]
    assert said[0] == "Stopping algorithmia: no setting requests it any more."
    assert [line.partition(":")[0].split()[1] for line in said[1:]] == [*restarted[:-1], model.name]
    assert all(re.search(r": sailplane \w{12} then, \w{12} now\.$", line) for line in said[1:])
    assert psutil.pid_exists(training)
    assert "Restarting" not in platform.sailplane("up", "--no-run").stdout


def test_airflows_history_is_deleted_up_to_the_oldest_run_that_has_not_ended(
    platform: Platform, pids_file: Path, tmp_path: Path
) -> None:
    old = platform.trigger("hello")
    assert platform.wait(old) == "success"
    waiting = platform.trigger("waiting", {"pids": str(pids_file)})
    until(lambda: True if pids_file.exists() else None, 90, "the task")
    newer = platform.trigger("hello")
    assert platform.wait(newer) == "success"
    hour = time.time() + 3600

    until_then = clean.finished_before(platform.home, hour)

    assert isinstance(until_then, float)
    begun = datetime.fromisoformat(platform.api("GET", waiting.path)["start_date"]).timestamp()
    assert until_then == begun - 1 < hour
    script = f"from sailplane.commands.clean import *; clean_history(Home.find(), {until_then!r})"
    subprocess.run([sys.executable, "-c", script], env=dict(platform.env), check=True)
    left = {run["dag_run_id"] for run in platform.api("GET", "/dags/~/dagRuns")["dag_runs"]}
    assert old.id not in left
    assert {waiting.id, newer.id} <= left
    assert platform.tasks(waiting) == {"wait": ["running"]}
    with closing(sqlite3.connect(platform.home.airflow / "airflow.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert [name for name in tables if name.startswith("_airflow_deleted")] == []
    platform.api("PATCH", waiting.path, {"state": "failed"})
    shown = platform.sailplane("clean", "--dry-run").stdout
    assert re.search(r"Airflow's history +365 days +before \d{4}-", shown), shown
    # It also deletes our old temporary files; those of the machine are not this test's concern.
    apart = replace(platform, env={**platform.env, "TMPDIR": str(tmp_path)})
    assert apart.sailplane("clean", "--yes").returncode == 0


def test_everything_is_back_after_supervisord_was_killed_and_the_router_was_never_away(platform: Platform) -> None:
    """It takes half a minute: all services start again."""
    before = {name: int(str(service["pid"])) for name, service in status(platform).items()}
    os.kill(int((platform.home.supervisor / "supervisord.pid").read_text()), signal.SIGKILL)
    ended = platform.sailplane("up", "--no-run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = {name: int(str(service["pid"])) for name, service in status(platform).items()}
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    kept = psutil.Process(before["router"])
    assert kept.is_running()
    others = [one for one in psutil.process_iter() if one.pid in before.values() and one.pid != kept.pid]
    assert psutil.wait_procs(others, timeout=10)[1] == [], "as soon as they are reaped"


def test_down_leaves_no_process_and_says_what_it_stopped(platform: Platform) -> None:
    before = marked(platform.home)
    ended = platform.sailplane("down")
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in SERVICES)
    assert not [p for p in before if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert marked(platform.home) == []
    assert platform.sailplane("status").returncode == 1
    assert platform.sailplane("down").stdout == "Nothing is running.\n"
