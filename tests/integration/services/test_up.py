"""In the order of the file: each test finds the services running, and the last one stops them."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path

import httpx
import psutil
import pytest

from sailplane.services.leftovers import marked
from tests.platform import Platform, until

SERVICES = {"api-server", "scheduler", "dag-processor", "triggerer", "router", "request-log"}


def status(platform: Platform) -> dict[str, dict[str, object]]:
    return {s["name"]: s for s in json.loads(platform.sailplane("status", "--json").stdout)["services"]}


def test_airflow_reports_all_four_components_healthy(platform: Platform) -> None:
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


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/", "/api/v2/dags", "/execution/health"])
def test_the_ui_refuses_a_foreign_host_name(platform: Platform, host: str, path: str) -> None:
    url = f"http://127.0.0.1:{platform.home.ui_port}{path}"
    assert httpx.get(url, headers={"Host": host}, trust_env=False).status_code == 400
    assert httpx.get(url, trust_env=False).status_code < 400


def test_no_file_of_the_home_is_open_to_other_users(platform: Platform) -> None:
    home = platform.home.root
    files = [home, *(Path(folder, name) for folder, folders, names in os.walk(home) for name in folders + names)]
    names = {file.name for file in files}
    open_to_others = [f for f in files if not f.is_symlink() and stat.S_IMODE(f.lstat().st_mode) & 0o077]
    assert {"secrets.json", "airflow.db", "scheduler.log", "attempt=1.log"} <= names
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
    # The scheduler, its four workers, and the running task, which has a process group of its own.
    assert len(family) == 6

    os.kill(scheduler, signal.SIGKILL)

    until(lambda: True if _at_work(platform, other_than=scheduler) else None, 120, "the new scheduler")
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert psutil.pid_exists(training)
    platform.api("PATCH", run.path, {"state": "failed"})
    assert platform.wait(platform.trigger("hello")) == "success"


def test_everything_is_back_after_supervisord_was_killed_and_the_router_was_never_away(platform: Platform) -> None:
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


def _at_work(platform: Platform, *, other_than: int) -> bool:
    scheduler = status(platform)["scheduler"]
    return scheduler["state"] == "running" and scheduler["pid"] != other_than
