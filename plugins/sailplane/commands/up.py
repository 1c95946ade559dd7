"""`sailplane up`: starts the services, which keep running; a second `up` starts only missing ones."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Collection
from dataclasses import replace

from rich.console import Console

from sailplane.commands.login import announce
from sailplane.deployment.token import take_token
from sailplane.errors import LedgerError, SailplaneError, ServiceError
from sailplane.files import free_bytes, is_full, no_room
from sailplane.home import Home
from sailplane.services import installation, object_store, orphans
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.environment import prepare
from sailplane.services.health import starting_models, unhealthy
from sailplane.services.moving import staying
from sailplane.services.ports import require_ports
from sailplane.services.programs import SETTINGS
from sailplane.services.restarts import restart_changed, write_stopped
from sailplane.services.served import all_served
from sailplane.services.store_check import require_access, require_store
from sailplane.storage.roots import Root
from sailplane.supervisor import ProgramState, Supervisor

BOOT_SECONDS = 300
# How often a service may restart before it counts as broken.
RESTARTS = 3
FREE_BYTES = 500_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-run", action="store_true", help="start the services, but do not run the main DAG")
    parser.set_defaults(command=lambda home, arguments: up(home, run=not arguments.no_run))


def up(home: Home, *, run: bool = True, console: Console | None = None) -> int:
    """Returns the exit code: 0, or 1 if the run failed. Raises ServiceError if a service does not start."""
    console = console or Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    was_open = (home.airflow / "airflow.db").exists() and not home.passwords.exists()
    fault = start(home, console)
    console.print(f"Services are up ({time.monotonic() - started:.0f} s): http://localhost:{home.ui_port}")
    announce(home, console, new=was_open)
    if fault:
        _show_served(home, fault, console)
        return 1
    if not run:
        return 0
    from sailplane.services.main_run import main_run

    return main_run(home, console)


def _show_served(home: Home, fault: LedgerError, console: Console) -> None:
    for deployment in all_served(home):
        console.print(f"{deployment.name} {deployment.version} is served at {deployment.endpoint}", markup=False)
    console.print(f"\n{fault}", markup=False)


def start(home: Home, console: Console) -> LedgerError | None:
    """Starts missing services, and waits until all are healthy. Returns the error if the ledger cannot be used; models
    are served anyway."""
    _require_space(home)
    with staying(home):
        return _start(home, console)


def _start(home: Home, console: Console) -> LedgerError | None:
    prepare(home)
    # Report a store or a ledger that cannot be opened now, not in the first task that needs it.
    Root.parse(home.store)
    fault = installation.lost(home, lambda line: console.print(line, markup=False))
    if fault:
        # A twin checks its callers' keys on the ledger.
        home = replace(home, twins=())
    elif not home.has_s3:
        _check_store(home)
    require_ports(home)
    _start_services(home, console)
    if not fault:
        if home.has_s3:
            # The embedded S3 did not run before.
            _check_store(home)
        require_access(home)
    return fault


def _check_store(home: Home) -> None:
    require_store(home)
    installation.pair(home)


def _start_services(home: Home, console: Console) -> None:
    supervisor = Supervisor(home)
    take_token(home)
    write_stopped(home, supervisor)
    supervisor.boot(_environment(home))
    supervisor.update()
    for name, state in supervisor.states().items():
        if state.state in {"STOPPED", "EXITED", "FATAL"}:
            supervisor.start(name)
    with console.status("Starting the services"):
        restart_changed(home, supervisor, lambda name: _wait(home, supervisor, {name}), console)
        _wait(home, supervisor)


def _environment(home: Home) -> dict[str, str]:
    """supervisord's environment, with the mark by which `down` finds every process. It omits settings, which would
    persist after the user removes them; each program gets its own."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    named = {"SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project)}
    return {**others, **named, orphans.MARK: "supervisor", "SPT_NOENV": "1"}


def _store_waits(home: Home) -> dict[str, str]:
    return {object_store.NAME: "starting"} if home.has_s3 and not object_store.healthy(home) else {}


def _wait(home: Home, supervisor: Supervisor, only: Collection[str] | None = None) -> None:
    """Waits until all programs, or only these, are healthy. Raises ServiceError if one does not start."""
    deadline = time.monotonic() + BOOT_SECONDS
    lives: dict[str, set[int]] = {}
    with AirflowApi(home, timeout=10) as api:
        while waiting := _waiting(home, states := supervisor.states(), api, only):
            for name in waiting.keys() & states.keys():
                lives.setdefault(name, set()).update(filter(None, [states[name].pid]))
            dying = [name for name, pids in lives.items() if len(pids) > RESTARTS]
            if dying or time.monotonic() > deadline:
                raise _failure(home, supervisor, name := (dying or sorted(waiting))[0], waiting.get(name, "starting"))
            time.sleep(0.2)


def _waiting(
    home: Home, states: dict[str, ProgramState], api: AirflowApi, only: Collection[str] | None
) -> dict[str, str]:
    waiting = unhealthy(states, api) | _store_waits(home) | ({} if only else starting_models(home))
    return {name: what for name, what in waiting.items() if only is None or name in only}


def _failure(home: Home, supervisor: Supervisor, name: str, state: str) -> SailplaneError:
    if is_full(home.root):
        return no_room("start", name, disk=home.root)
    got = f"it is {state}; the end of its log:\n{supervisor.log(name)}\n"
    return ServiceError("start", name, got=got, remedy=f"The whole log is {home.logs / name}.log")


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
