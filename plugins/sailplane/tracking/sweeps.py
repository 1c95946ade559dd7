"""A sweep at W&B that groups its trials. W&B's own command creates it in a process that can be killed, because the
client retries an unreachable server for minutes, and the task should not load that client."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
import yaml

from sailplane import tracking
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import wandb_sweeps as table

# An unreachable server must not delay a sweep's start or end.
SECONDS = 20.0
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_AGENT: Final = re.compile(r"wandb agent '?([^'\s]+)")
_ADDRESS: Final = re.compile(r"View sweep at: (\S+)")


class _Refused(Exception):
    """The reason why W&B's command failed, in one line."""


def create(
    ledger: Ledger, sweep: str, *, project: str, document: Mapping[str, Any], settings: Mapping[str, str]
) -> None:
    """Creates the sweep at W&B once if there is a key; a retry finds it in the ledger. A failure costs one line of log
    and at most `SECONDS`, never the sweep.

    :param document: a sweep file's content, in W&B's format
    :param settings: variables to add to the environment; kept out of files and logs
    """
    environment = {**os.environ, **settings}
    if not tracking.may_send(environment) or _path(ledger, sweep):
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "sweep.yaml")
            file.write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
            text = _wandb_sweep(environment, "--project", project, str(file))
        if not (found := _AGENT.search(text)):
            raise _Refused(_last_line(text))
    except (_Refused, OSError, yaml.YAMLError) as error:
        _print(f"create W&B sweep {sweep}: {error} Its trials continue, as W&B runs of the group {sweep}.")
        return
    _keep(ledger, sweep, found[1])
    address = _ADDRESS.search(text)
    _print(f"W&B sweep {sweep}: {address[1] if address else found[1]}")


def find(ledger: Ledger, sweep: str) -> str | None:
    """The sweep's id at W&B; None if it does not exist there."""
    path = _path(ledger, sweep)
    return path.rpartition("/")[2] if path else None


def finish(ledger: Ledger, sweep: str) -> None:
    """Stops the sweep at W&B; only the first call does so. A failure costs one line of log."""
    if not (path := _end(ledger, sweep)):
        return
    try:
        if not tracking.may_ask():
            raise _Refused("its server was unreachable a moment ago.")
        _wandb_sweep(os.environ, "--stop", path)
    except (_Refused, OSError) as error:
        _print(f"finish W&B sweep {sweep}: {error} It appears as running until you run `wandb sweep --stop {path}`.")


def _wandb_sweep(environment: Mapping[str, str], *arguments: str) -> str:
    """The output of W&B's command."""
    key = environment["WANDB_API_KEY"].strip()
    # Half of the time, so that the command can report the error itself.
    own = {"WANDB_API_KEY": key, "WANDB_HTTP_TIMEOUT": f"{SECONDS / 2:.0f}"}
    # The output is parsed, so it must not be silent.
    own |= {"WANDB_SILENT": "false", "WANDB_ERROR_REPORTING": "false"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "wandb", "sweep", *arguments],
                env={**environment, **own},
                cwd=folder,  # it writes a log to its working directory
                stdin=subprocess.DEVNULL,
                # No pipe: W&B's service would keep it open after the command is killed.
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise _Refused(f"W&B did not answer in {SECONDS:g} s.") from error
        output.seek(0)
        text = _STYLE.sub("", output.read().decode(errors="replace")).replace(key, "***")
    if ended.returncode:
        raise _Refused(_last_line(text))
    return text


def _last_line(text: str) -> str:
    """The last line of the output, as a sentence."""
    line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "W&B's command printed nothing")
    return f"{line.removeprefix('Error: ')[:300].rstrip('.')}."


@persistent
def _path(ledger: Ledger, sweep: str) -> str | None:
    """The sweep's path at W&B, entity/project/id; None if it does not exist there."""
    with ledger.begin() as connection:
        return connection.execute(sa.select(table.c.path).where(table.c.sweep == sweep)).scalar_one_or_none()


@persistent
def _keep(ledger: Ledger, sweep: str, path: str) -> None:
    with ledger.begin() as connection:
        if connection.execute(sa.select(table.c.sweep).where(table.c.sweep == sweep)).first() is None:
            connection.execute(sa.insert(table).values(sweep=sweep, path=path, ended=False))


@persistent
def _end(ledger: Ledger, sweep: str) -> str | None:
    """Marks the sweep as ended. Returns its path on the first call, then None."""
    running = sa.and_(table.c.sweep == sweep, table.c.ended.is_(False))
    with ledger.begin() as connection:
        path = connection.execute(sa.select(table.c.path).where(running)).scalar_one_or_none()
        connection.execute(sa.update(table).where(running).values(ended=True))
    return path


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201
