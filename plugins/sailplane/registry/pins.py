"""Pins each DAG run to one version of the user's code: an archive in the store, and the unpacked copy of it.

The run's first task that loads user code archives `include/` in the store under its digest, and writes the digest to
the ledger; later tasks load that version. A retry keeps its task's version. A cleared task takes the project's current
code, unless an upstream task, or another task of the same clear, has taken a newer version since.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from sailplane.files import locked, private_folder, room_for
from sailplane.home import Home
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import pins as table
from sailplane.registry.lineage import archived_code
from sailplane.registry.sources import unpack, visible
from sailplane.storage import Storage

# A copy that no task used for this long is removed; the next task that needs it unpacks it again.
UNUSED_SECONDS: Final = 30 * 86400.0
# After this time a cleared run takes the project's current code.
KEPT_SECONDS: Final = 366 * 86400.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """A starting task. `turn` changes when the task is cleared, `attempt` with each attempt, and `clear` whenever any
    task of the run is cleared. `after` are its upstream tasks."""

    dag: str
    run: str
    task: str
    index: int
    turn: int
    attempt: int
    clear: int
    after: frozenset[str]


@dataclass(frozen=True)
class Pin:
    """`digest` is that of the archive to use; `before` that of the archive which the task, or else the run, used until
    now. `is_new` says that `digest` is the project's current code."""

    digest: str
    before: str | None
    is_new: bool


@persistent
def pin(ledger: Ledger, start: Start, now: str) -> Pin:
    """Pins the starting task to a version. `now` is the digest of the project's current code."""
    with ledger.begin() as connection:
        rows = _rows(connection, start.dag, start.run)
        own = next((row for row in rows if (row.task, row.map_index) == (start.task, start.index)), None)
        if own and own.turn == start.turn and start.attempt > own.attempt:
            return Pin(own.digest, own.digest, is_new=False)
        # If its retries were lowered, a cleared task has no later turn, but its run counts one more clear.
        if own and own.turn >= start.turn and own.clear >= start.clear:
            # The run was deleted, and a new run has its name.
            connection.execute(sa.delete(table).where(table.c.dag == start.dag, table.c.run == start.run))
            rows, own = [], None
        others = [row for row in rows if own is None or _is_newer(row, own, start)]
        digest = others[0].digest if others else now
        before = own.digest if own else (rows[0].digest if rows else None)
        _keep(connection, start, digest)
    return Pin(digest, before, is_new=not others)


@persistent
def pinned(ledger: Ledger, dag: str, run: str, task: str) -> str | None:
    """The digest of the task's version, or else of the run's newest; None before any task has pinned one."""
    with ledger.begin() as connection:
        rows = _rows(connection, dag, run)
    return next((row.digest for row in [*(row for row in rows if row.task == task), *rows]), None)


def unpacked(home: Home, storage: Storage, digest: str) -> Path:
    """The folder with the copy. It is made once per home, checked on each call, and made again if damaged. Raises
    ModelError if the store lacks the archive, or has one with another digest."""
    folder = private_folder(home.code) / digest[:16]
    archive = folder.with_suffix(".zip")
    with locked(home.code / "lock"), room_for(folder):
        if not _is_whole(folder, archive, digest):
            _make(home, folder, archive, archived_code(storage, digest), digest)
        _link_the_rest(home, folder)
        os.utime(archive)
        clean(home, UNUSED_SECONDS)
    return folder


def clean(home: Home, unused_seconds: float) -> None:
    """Removes copies that no task has used for that long, and unfinished ones. The caller holds the lock of
    `unpacked`."""
    for archive in home.code.glob("*.zip"):
        if archive.stat().st_mtime < time.time() - unused_seconds:
            archive.unlink()
    for folder in home.code.iterdir():
        if folder.is_dir() and not folder.with_suffix(".zip").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _rows(connection: sa.Connection, dag: str, run: str) -> list[sa.Row[Any]]:
    """The run's pins, newest first."""
    query = sa.select(table).where(table.c.dag == dag, table.c.run == run)
    return list(connection.execute(query.order_by(table.c.created.desc())).all())


def _is_newer(row: sa.Row[Any], own: sa.Row[Any], start: Start) -> bool:
    """Whether a cleared task takes the version of this other task."""
    if (row.task, row.map_index) == (own.task, own.map_index):
        return False
    together = row.clear == start.clear > own.clear
    return together or (row.task in start.after and row.created > own.created)


def _keep(connection: sa.Connection, start: Start, digest: str) -> None:
    key = {"dag": start.dag, "run": start.run, "task": start.task, "map_index": start.index}
    connection.execute(sa.delete(table).where(*(table.c[name] == value for name, value in key.items())))
    connection.execute(sa.delete(table).where(table.c.created < time.time() - KEPT_SECONDS))
    values = {"digest": digest, "turn": start.turn, "attempt": start.attempt, "clear": start.clear}
    connection.execute(sa.insert(table).values(**key, **values, created=time.time()))


def _is_whole(folder: Path, archive: Path, digest: str) -> bool:
    try:
        if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
            return False
        with zipfile.ZipFile(archive) as packed:
            return all(zlib.crc32((folder / file.filename).read_bytes()) == file.CRC for file in packed.infolist())
    except OSError:
        return False


def _make(home: Home, folder: Path, archive: Path, content: bytes, digest: str) -> None:
    with tempfile.TemporaryDirectory(dir=home.code, prefix=".half-") as scratch:
        half, draft = Path(scratch, "copy"), Path(scratch, "archive.zip")
        unpack(content, digest, half)
        for file in visible(half):
            # Read-only, so that users edit the project and not its copies.
            file.chmod(0o400)
        draft.write_bytes(content)
        if folder.exists():
            folder.rename(Path(scratch, "damaged"))
        half.rename(folder)
        draft.replace(archive)


def _link_the_rest(home: Home, copy: Path) -> None:
    """Links data of `include/` that is not archived, and everything beside `include/`, so that user code finds them at
    their usual paths."""
    include = home.project / "include"
    data = (file for file in visible(include) if file.suffix != ".py")
    others = (path for path in home.project.iterdir() if not path.name.startswith((".", "__pycache__")))
    for path in (*data, *others):
        link = copy / path.relative_to(home.project)
        if link.is_symlink() and not link.exists():
            link.unlink()
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
