"""A sweep's counterpart at W&B, under which its trials appear. W&B's own command makes it, in a process that can be
ended: its client asks for minutes a server that is away, and the task that makes a sweep need not hold that client."""

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

# A server that is away must hold up neither a sweep's start nor its end.
SECONDS = 20.0
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_AGENT: Final = re.compile(r"wandb agent '?([^'\s]+)")
_ADDRESS: Final = re.compile(r"View sweep at: (\S+)")


class _Refused(Exception):
    """Why W&B's command did not do it, in a line."""


def create(
    ledger: Ledger, sweep: str, *, project: str, document: Mapping[str, Any], settings: Mapping[str, str]
) -> None:
    """Make it at W&B, if there is a key, and once: a retry finds it on the ledger. What keeps that from being done
    costs one line and at most `SECONDS`, never the sweep.

    :param document: a sweep file's content, as W&B knows it
    :param settings: variables beside those of the environment; no file and no log holds them
    """
    environment = {**os.environ, **settings}
    if not tracking.may_send(environment) or _path(ledger, sweep):
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "sweep.yaml")
            file.write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
            said = _wandb_sweep(environment, "--project", project, str(file))
        if not (found := _AGENT.search(said)):
            raise _Refused(_last_line(said))
    except (_Refused, OSError, yaml.YAMLError) as error:
        _say(f"create W&B sweep {sweep}: {error} Its trials are W&B runs of the group {sweep}, and go on.")
        return
    _keep(ledger, sweep, found[1])
    address = _ADDRESS.search(said)
    _say(f"W&B sweep {sweep}: {address[1] if address else found[1]}")


def find(ledger: Ledger, sweep: str) -> str | None:
    """W&B's id of it; None if it is not there."""
    path = _path(ledger, sweep)
    return path.rpartition("/")[2] if path else None


def finish(ledger: Ledger, sweep: str) -> None:
    """Say at W&B that no more trials come; the first of the sweep's workers to ask does it. What keeps that from being
    done costs one line."""
    if not (path := _end(ledger, sweep)):
        return
    try:
        if not tracking.may_ask():
            raise _Refused("its server is not asked now.")
        _wandb_sweep(os.environ, "--stop", path)
    except (_Refused, OSError) as error:
        _say(f"finish W&B sweep {sweep}: {error} It reads as running until `wandb sweep --stop {path}`.")


def _wandb_sweep(environment: Mapping[str, str], *arguments: str) -> str:
    """What W&B's command said."""
    key = environment["WANDB_API_KEY"].strip()
    # Half of the time, so that it says itself what was wrong.
    own = {"WANDB_API_KEY": key, "WANDB_HTTP_TIMEOUT": f"{SECONDS / 2:.0f}"}
    # What it says is read here.
    own |= {"WANDB_SILENT": "false", "WANDB_ERROR_REPORTING": "false"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "wandb", "sweep", *arguments],
                env={**environment, **own},
                cwd=folder,  # it leaves a log where it runs
                stdin=subprocess.DEVNULL,
                # No pipe: its service would hold that open after it was ended.
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise _Refused(f"W&B did not answer in {SECONDS:g} s.") from error
        output.seek(0)
        said = _STYLE.sub("", output.read().decode(errors="replace")).replace(key, "***")
    if ended.returncode:
        raise _Refused(_last_line(said))
    return said


def _last_line(said: str) -> str:
    """As a sentence."""
    line = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "W&B's command said nothing")
    return f"{line.removeprefix('Error: ')[:300].rstrip('.')}."


@persistent
def _path(ledger: Ledger, sweep: str) -> str | None:
    """entity/project/id"""
    with ledger.begin() as connection:
        return connection.execute(sa.select(table.c.path).where(table.c.sweep == sweep)).scalar_one_or_none()


@persistent
def _keep(ledger: Ledger, sweep: str, path: str) -> None:
    with ledger.begin() as connection:
        if connection.execute(sa.select(table.c.sweep).where(table.c.sweep == sweep)).first() is None:
            connection.execute(sa.insert(table).values(sweep=sweep, path=path, ended=False))


@persistent
def _end(ledger: Ledger, sweep: str) -> str | None:
    """Its path, for who ends it."""
    running = sa.and_(table.c.sweep == sweep, table.c.ended.is_(False))
    with ledger.begin() as connection:
        path = connection.execute(sa.select(table.c.path).where(running)).scalar_one_or_none()
        connection.execute(sa.update(table).where(running).values(ended=True))
    return path


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
