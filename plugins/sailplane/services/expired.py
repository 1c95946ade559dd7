"""Finds files and records that are older than their retention. Each kind has a function (home, before) -> Expired.

`before` is in seconds since the epoch. A folder is as old as its newest file, so nothing that a process still writes
is deleted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from sailplane import pairing
from sailplane.evaluation import library
from sailplane.files import locked
from sailplane.home import Home
from sailplane.registry.references import at_work
from sailplane.serving.spool import UNREADABLE
from sailplane.storage import ObjectInfo, Storage
from sailplane.storage.roots import Root, local_folder
from sailplane.supervisor import Supervisor

# The names that `replace_file`, `ModelProcess.install` and the local store give to unfinished files.
_DRAFT: Final = re.compile(r"\..+\.\d+(\.[0-9a-f]{8})?|.+#\d+")
# Folders of supervisord's socket, which exist as long as their home.
_SOCKET: Final = re.compile(r"sailplane-\d+-[0-9a-f]{12}")
_DAY: Final = re.compile(r"(?:requests|feedback)/.+/(\d{4}-\d\d-\d\d)/[^/]+\.parquet")
# A report without an inlined library has about a hundredth of this size.
_WITH_LIBRARY: Final = 2_000_000


@dataclass(frozen=True)
class Expired:
    """Something to delete. `name` is its path below the home or in the store."""

    name: str
    bytes: int
    delete: Callable[[], None]


def jobs(home: Home, before: float) -> Iterator[Expired]:
    """Jobs, except running ones and those of a sweep with open trials: its workers resume from them."""
    from sailplane.training.jobs import Job

    old = [file.parent for file in home.jobs.rglob("job.json") if _newest(file.parent) < before]
    open_sweeps = _open_sweeps(home, before) if old else set()
    for folder in old:
        if Job(folder).state() != "running" and _sweep_of(folder) not in open_sweeps:
            yield _folder(home, folder, home.jobs)


def _open_sweeps(home: Home, before: float) -> set[str]:
    with pairing.ledger(home).begin() as connection:
        return set(at_work(connection, before))


def _sweep_of(folder: Path) -> str | None:
    with suppress(OSError, ValueError):
        sweep = json.loads((folder / "job.json").read_text()).get("sweep")
        return str(sweep) if sweep else None
    return None


def task_logs(home: Home, before: float) -> Iterator[Expired]:
    logs = home.airflow / "logs"
    return (_folder(home, run, logs) for run in logs.glob("dag_id=*/run_id=*") if _newest(run) < before)


def parser_logs(home: Home, before: float) -> Iterator[Expired]:
    days = (home.airflow / "logs" / "dag_processor").glob("[0-9]*")
    return (_folder(home, day, day.parent) for day in days if not day.is_symlink() and _newest(day) < before)


def model_logs(home: Home, before: float) -> Iterator[Expired]:
    programs = set(Supervisor(home).programs())
    for log in home.logs.glob("model-*.log*"):
        if log.name.partition(".log")[0] not in programs and _newest(log) < before:
            yield _file(home, log)


def wandb_runs(home: Home, before: float) -> Iterator[Expired]:
    root = home.root / "wandb"
    runs = (*root.glob("offline-run-*"), *root.glob("run-*"))
    return (_folder(home, run, root) for run in runs if _newest(run) < before)


def bundles(home: Home, before: float) -> Iterator[Expired]:
    """Copies left by killed deployments: versions without a program. A version that serves, or that `up` would restore,
    has one."""
    programs = set(Supervisor(home).programs())
    for folder in (home.serving / "models").glob("*/*"):
        model, version = folder.parent.name, folder.name
        if f"model-{model}-{version}" not in programs and _newest(folder) < before:
            yield Expired(_below(home, folder), _bytes(folder), partial(_delete_bundle, home, folder))


def _delete_bundle(home: Home, folder: Path) -> None:
    """Deletes the bundle unless a deployment has started to use it in the meantime."""
    with locked(home.serving / f"{folder.parent.name}.lock"):
        if f"model-{folder.parent.name}-{folder.name}" not in Supervisor(home).programs():
            shutil.rmtree(folder)


def leftovers(home: Home, before: float) -> Iterator[Expired]:
    for path in _temporary(home):
        with suppress(FileNotFoundError):
            if path.lstat().st_uid == os.geteuid() and _newest(path) < before:
                yield _folder(home, path, path.parent) if path.is_dir() else _file(home, path)


def _temporary(home: Home) -> Iterator[Path]:
    yield from home.root.glob("reproduce-*")
    for path in Path(tempfile.gettempdir()).glob("sailplane-*"):
        if not _SOCKET.fullmatch(path.name):
            yield path
    own: Iterable[Path] = (*home.root.glob(".*"), *home.airflow.glob(".*"), *home.supervisor.rglob(".*"))
    store = Root.parse(home.store)
    stored = local_folder(store.uri).rglob("*#*") if store.scheme == "file" else ()
    yield from (path for path in (*own, *home.serving.rglob(".*"), *stored) if _is_draft(path))


def _is_draft(path: Path) -> bool:
    return bool(_DRAFT.fullmatch(path.name)) and path.is_file()


def requests(home: Home, before: float) -> Iterator[Expired]:
    """Whole days of the request log in the store, and unreadable files of the log."""
    storage, last = pairing.store(home), f"{datetime.fromtimestamp(before, UTC):%Y-%m-%d}"
    for folder in ("requests", "feedback"):
        for entry in storage.entries(folder):
            if (found := _DAY.fullmatch(entry.path)) and found[1] < last:
                yield _stored(storage, entry)
    for path in home.requests.rglob(f"*{UNREADABLE}"):
        if _newest(path) < before:
            yield _file(home, path)


def reports(home: Home, _before: float) -> Iterator[Expired]:
    """Inlined chart libraries of reports. The page stays and shares its library from now on."""
    storage = pairing.store(home)
    for entry in storage.entries("runs"):
        large = entry.path.endswith("/report.html") and entry.size > _WITH_LIBRARY
        if large and library.is_inlined(storage, entry.path):
            yield Expired(entry.path, entry.size, partial(library.share, storage, entry.path))


def _stored(storage: Storage, entry: ObjectInfo) -> Expired:
    return Expired(entry.path, entry.size, partial(storage.delete, entry.path))


def _file(home: Home, path: Path) -> Expired:
    return Expired(_below(home, path), _bytes(path), path.unlink)


def _folder(home: Home, path: Path, root: Path) -> Expired:
    """A folder. Its deletion also removes the parent folders that become empty, up to `root`."""

    def delete() -> None:
        shutil.rmtree(path)
        for above in path.parents:
            if above == root or any(above.iterdir()):
                return
            above.rmdir()

    return Expired(_below(home, path), _bytes(path), delete)


def _below(home: Home, path: Path) -> str:
    return str(path.relative_to(home.root)) if path.is_relative_to(home.root) else str(path)


def _inside(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *files))


def _newest(path: Path) -> float:
    """The time of the last change in it; now, if a file vanishes during the search."""
    try:
        return max(file.lstat().st_mtime for file in _inside(path))
    except FileNotFoundError:
        return time.time()


def _bytes(path: Path) -> int:
    """The size on disk."""
    total = 0
    for file in _inside(path):
        with suppress(FileNotFoundError):
            total += file.lstat().st_blocks * 512
    return total
