"""`sailplane down`: stops the processes that `up` started, and no others."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from sailplane.home import Home
from sailplane.services import orphans
from sailplane.supervisor import Supervisor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=lambda home, _arguments: down(home))


def down(home: Home, console: Console | None = None) -> int:
    """Returns when all have ended. A second `down` does nothing."""
    console = console or Console(highlight=False, soft_wrap=True)
    supervisor = Supervisor(home)
    stopped = _stop_programs(supervisor, console)
    supervisor.shutdown()
    # Tasks run in their own process groups, and trainings in their own sessions.
    others = orphans.kill_all(home)
    if not stopped and not others:
        console.print("Nothing is running.")
        return 0
    rest = f" and {len(others)} remaining processes" if others else ""
    console.print(f"Stopped {', '.join(stopped) or 'the services'}{rest}.")
    return 0


def _stop_programs(supervisor: Supervisor, console: Console) -> list[str]:
    if not supervisor.running():
        return []
    names = [name for name, state in supervisor.states().items() if state.pid]
    # In parallel, because supervisord's own shutdown stops one program after the other.
    with console.status("Stopping the services"), ThreadPoolExecutor(max(len(names), 1)) as pool:
        list(pool.map(supervisor.stop, names))
    return names
