"""Moves the store."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from dotenv import dotenv_values, set_key
from rich.console import Console

from sailplane import pairing
from sailplane.errors import ServiceError
from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.rewriting import make_relative
from sailplane.ledger.tables import rollouts, trials
from sailplane.services import object_store
from sailplane.services.orphans import marked
from sailplane.services.store_check import MOVED, moved, open_store, require_current
from sailplane.storage import Storage, TransferProgress
from sailplane.storage.move import Copy, require_apart
from sailplane.storage.roots import Root
from sailplane.supervisor import Supervisor

SETTING: Final = "SAILPLANE_STORE"
_S3_SECONDS: Final = 60.0
# The pause between two lines of progress without a terminal.
_LINE_SECONDS: Final = 10.0


def move(home: Home, uri: str, console: Console) -> None:
    """Copies the store, verifies the copy and switches to it. The next call resumes a killed move. The old store is not
    changed.

    Raises ServiceError while services or workers may write, ConfigurationError for a target that cannot be used.
    """
    there, remedy = replace(home, store=uri), "Wait until it has ended."
    busy = ServiceError(
        "move the store of", home.root, got="another move, or `sailplane up`, is running", remedy=remedy
    )
    with locked(_lock(home), busy=busy):
        _require_quiet(home)
        _move(home, there, console)


@contextmanager
def staying(home: Home) -> Iterator[None]:
    """Prevents a move, which would miss what services write during it. ServiceError during a move."""
    remedy = "Wait until `sailplane store move` has ended."
    busy = ServiceError("start in", home.root, got="its store is being moved", remedy=remedy)
    with locked(_lock(home), shared=True, busy=busy):
        yield


def _lock(home: Home) -> Path:
    return private_folder(home.root) / "move.lock"


def _move(home: Home, there: Home, console: Console) -> None:
    require_current(home)
    # This must come before the target is opened, because that creates a folder.
    require_apart(Root.parse(home.store).uri, Root.parse(there.store).uri)
    with embedded_s3(home, there):
        # A move that was killed near its end has already recorded the target in the home.
        _ledger, source = pairing.opened(home, open_store(home), may_be_another=True)
        target = open_store(there)
        copy = Copy(source, target, _journal(home, source, target))
        copy.begin()
        with _ProgressDisplay(console) as display:
            progress = copy.run(display.show)
        with Ledger.at(home).begin() as connection:
            make_relative(connection, source.root)
        copy.publish()
        pairing.remember(home, target, Ledger.at(home).id)
        _switch(home, source.root, target.root, there.store, console)
        copy.close()
    console.print(
        f"{progress.all_objects} objects, {progress.all_bytes / 1e6:.1f} MB, have been verified in {target.root}."
    )
    for path in copy.damaged:
        console.print(f"Damaged before the move, and copied as it is: {path}")


def _require_quiet(home: Home) -> None:
    remedy = "Run `sailplane down` first."
    if Supervisor(home).running() or marked(home):
        raise ServiceError(
            "move the store of", home.root, got="its services are running and write to it", remedy=remedy
        )
    with Ledger.at(home).begin() as connection:
        ended = rollouts.c.phase.in_(("succeeded", "failed"))
        leases = [
            *connection.execute(sa.select(trials.c.lease_until).where(trials.c.state == "running")).scalars(),
            *connection.execute(sa.select(rollouts.c.lease_until).where(~ended)).scalars(),
        ]
    if (until := max(leases, default=0.0)) > time.time():
        got = f"a worker elsewhere holds a trial or a rollout until {datetime.fromtimestamp(until, UTC):%X} UTC"
        raise ServiceError("move the store of", home.root, got=got, remedy="Stop it and wait until then.")


def _journal(home: Home, source: Storage, target: Storage) -> Path:
    name = hashlib.sha256(f"{source.root}\n{target.root}".encode()).hexdigest()[:16]
    return private_folder(home.root / "moves") / f"{name}.jsonl"


@contextmanager
def embedded_s3(*homes: Home) -> Iterator[None]:
    """Runs the embedded S3 if one of these stores is in it and the services are down."""
    home = next((home for home in homes if home.has_s3), None)
    if home is None:
        yield
        return
    object_store.prepare(home)
    env = {**os.environ, SETTING: home.store, "SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project)}
    log = private_folder(home.logs) / f"{object_store.NAME}.log"
    command = [sys.executable, "-P", "-m", "sailplane.cli", "run", object_store.NAME]
    with log.open("a") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as running:
        try:
            deadline = time.monotonic() + _S3_SECONDS
            while not object_store.healthy(home):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise ServiceError("start", "the embedded S3", got="it does not answer", remedy=f"See {log}.")
                time.sleep(0.2)
            yield
        finally:
            running.terminate()


def _switch(home: Home, before: str, root: str, uri: str, console: Console) -> None:
    earlier = [known for known in dict.fromkeys([*moved(home).get("from", ()), before]) if known != root]
    replace_file(home.root / MOVED, json.dumps({"from": earlier, "to": root}))
    file = home.project / ".env"
    named, set_there = os.environ.get(SETTING), dotenv_values(file).get(SETTING)
    if named is not None and named != set_there:
        console.print(f"SAILPLANE_STORE is set in your environment. Change it there: export SAILPLANE_STORE={uri}")
    else:
        # The file may hold keys, so only its owner may read it.
        file.touch(mode=0o600)
        set_key(file, SETTING, uri, quote_mode="auto")
        console.print(f"{file} now sets SAILPLANE_STORE={uri}, which `sailplane up` uses.")
    console.print(f"The old store is unchanged: {before}. Delete it when you no longer need it.")


class _ProgressDisplay:
    """Shows the progress: on a terminal as a line that is updated, elsewhere as a new line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("Copying the store") if console.is_terminal else None
        self._last = time.monotonic()

    def __enter__(self) -> _ProgressDisplay:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def show(self, progress: TransferProgress) -> None:
        line = f"{progress.objects} of {progress.all_objects} objects, {progress.bytes / 1e6:.1f} of "
        line += f"{progress.all_bytes / 1e6:.1f} MB"
        if self._status:
            self._status.update(line)
        elif time.monotonic() - self._last > _LINE_SECONDS:
            self._last = time.monotonic()
            self._console.print(line)
