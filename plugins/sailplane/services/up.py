"""`sailplane up`: what it starts goes on running; a second `up` finds that, and brings back what is missing."""

from __future__ import annotations

import os
import time
from datetime import datetime

from rich.console import Console

from sailplane.errors import SailplaneError, ServiceError
from sailplane.files import free_bytes, is_full, no_room
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.services import leftovers, object_store
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.environment import prepare
from sailplane.services.ports import require_ports
from sailplane.services.programs import programs, settings
from sailplane.serving.local import renew
from sailplane.serving.router import Router
from sailplane.serving.token import take_token
from sailplane.storage.roots import Root
from sailplane.supervisor import ProgramState, Supervisor

BOOT_SECONDS = 300
# How often a service may end and be started again before it counts as broken.
RESTARTS = 3
FREE_BYTES = 500_000_000
# The names of Airflow's health report, and the programs that they speak of.
COMPONENTS = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}


def up(home: Home, *, run: bool = True, console: Console | None = None) -> int:
    """Exit code: 0; 1 if the run failed. ServiceError if a service does not start."""
    console = console or Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    start(home, console)
    console.print(f"Services are up ({time.monotonic() - started:.0f} s): http://localhost:{home.ui_port}")
    if not run:
        return 0
    from sailplane.services.main_run import main_run

    return main_run(home, console)


def start(home: Home, console: Console) -> None:
    """Start what does not run, and wait until all of it is healthy."""
    _require_space(home)
    prepare(home)
    # A store or a ledger that cannot be opened is said now, not by the first task that needs it.
    Root.parse(home.store)
    Ledger.at(home)
    require_ports(home)
    supervisor = Supervisor(home)
    take_token(home)
    for program in programs(home):
        supervisor.put(program)
    renew(home)
    # supervisord hands its environment to all that it starts: the mark by which `down` finds every one of them.
    os.environ.update({**settings(home), leftovers.MARK: "supervisor", "SPT_NOENV": "1"})
    supervisor.boot()
    supervisor.update()
    for name, state in supervisor.states().items():
        if state.state in {"STOPPED", "EXITED", "FATAL"}:
            supervisor.start(name)
    with console.status("Starting the services"):
        _wait(home, supervisor)


def unhealthy(states: dict[str, ProgramState], api: AirflowApi) -> dict[str, str]:
    """What each program that is not at work is doing."""
    waiting = {name: state.state.lower() for name, state in states.items() if state.state != "RUNNING"}
    health = api.health()
    if health is None:
        return {"api-server": "starting", **waiting}
    for component, name in COMPONENTS.items():
        if name in states and not _beats(health.get(component) or {}, component, states[name]):
            waiting.setdefault(name, "starting")
    return waiting


def _store_waits(home: Home) -> dict[str, str]:
    return {object_store.NAME: "starting"} if home.has_s3 and not object_store.healthy(home) else {}


def starting_models(home: Home) -> dict[str, str]:
    """Those with traffic: another token has had them restarted, say."""
    router = Router(home)
    silent = {model: versions for model, versions in router.weights().items() if router.version_at(model) is None}
    return {f"model-{model}-{version}": "starting" for model, versions in silent.items() for version in versions}


def _beats(report: dict[str, str | None], component: str, state: ProgramState) -> bool:
    # For 30 s after a crash the report still shows the earlier life's last heartbeat.
    beat = report.get(f"latest_{component}_heartbeat")
    if report.get("status") != "healthy" or not beat:
        return False
    return datetime.fromisoformat(beat).timestamp() >= time.time() - state.seconds


def _wait(home: Home, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    lives: dict[str, set[int]] = {}
    with AirflowApi(home, timeout=10) as api:
        while waiting := unhealthy(states := supervisor.states(), api) | _store_waits(home) | starting_models(home):
            for name in waiting.keys() & states.keys():
                lives.setdefault(name, set()).update(filter(None, [states[name].pid]))
            dying = [name for name, pids in lives.items() if len(pids) > RESTARTS]
            if dying or time.monotonic() > deadline:
                raise _failure(home, supervisor, name := (dying or sorted(waiting))[0], waiting.get(name, "starting"))
            time.sleep(0.2)


def _failure(home: Home, supervisor: Supervisor, name: str, state: str) -> SailplaneError:
    if is_full(home.root):
        return no_room("start", name, disk=home.root)
    said = f"it is {state}; the end of its log:\n{supervisor.log(name)}\n"
    return ServiceError("start", name, got=said, remedy=f"The whole log is {home.logs / name}.log")


def _require_space(home: Home) -> None:
    free = free_bytes(home.root)
    if free < FREE_BYTES:
        raise ServiceError(
            "start in",
            home.root,
            got=f"the disk has {free / 1e6:.0f} MB free",
            expected=f"{FREE_BYTES / 1e6:.0f} MB or more",
            remedy="Free some space, or set SAILPLANE_HOME to a folder on another disk.",
        )
