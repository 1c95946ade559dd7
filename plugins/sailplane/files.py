"""Private files, atomic replacement, locks between processes, and errors for a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sailplane.errors import ServiceError, StorageError

_ROOM: Final = "Free some space, or set SAILPLANE_HOME to a folder on another disk, and run again."
# The kernel's errors for a write without room: the description and the remedy.
FULL: Final = {
    errno.ENOSPC: ("the disk is too full", _ROOM),
    errno.EDQUOT: ("your quota on this disk is used up", _ROOM),
    errno.EFBIG: ("the file is larger than `ulimit -f` allows", "Raise that limit, and run again."),
}


def free_bytes(path: Path) -> int:
    """The free bytes on the disk of the path, which need not exist."""
    return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free


def is_full(path: Path) -> bool:
    """Whether so little is free that this explains a failure, even if its error does not say so."""
    return free_bytes(path) < 10_000_000


def no_room(failed: str, which: object, *, disk: Path, got: str = "", number: int = errno.ENOSPC) -> StorageError:
    """The error for a write without room on `disk`. `got` replaces the standard description."""
    words, remedy = FULL[number]
    return StorageError(failed, which, got=f"{got or words}, {free_bytes(disk) / 1e6:.1f} MB are free", remedy=remedy)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turns errors of a full disk into StorageError, with the file's name and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        # When copying, the first name is the source.
        which = Path(error.filename2 or error.filename or path)
        raise no_room("write", which, disk=which, number=error.errno) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is deleted afterwards. Raises StorageError if there is no room for it."""
    try:
        with room_for(Path(tempfile.gettempdir())):
            made = tempfile.TemporaryDirectory(prefix="sailplane-")
    except FileNotFoundError as error:
        # Python raises this if it cannot write to any temporary folder.
        remedy = "Free some space, or set TMPDIR to a folder on another disk."
        raise StorageError("make a temporary folder", got=error.strerror, remedy=remedy) from error
    with made as name:
        yield Path(name)


def private_folder(path: Path) -> Path:
    """Creates the folder and missing parents, accessible only to this user. Raises ServiceError if it belongs to
    another user."""
    if not path.parent.exists():
        private_folder(path.parent)
    with room_for(path):
        path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise ServiceError("use folder", path, got="it belongs to another user", remedy="Remove it.")
    path.chmod(0o700)
    return path


def replace_file(path: Path, text: str) -> None:
    """Replaces the file atomically: a reader sees the old content or the new. The file is private. Raises StorageError
    if there is no room."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with room_for(path):
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path, *, shared: bool = False, busy: Exception | None = None) -> Iterator[None]:
    """Holds a lock, exclusive or shared, which is freed when its process ends or is killed. Waits for the lock; with
    `busy`, raises that error instead."""
    # Windows lacks this module; a remote worker there uses only the rest of this file.
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from error
        yield
    finally:
        os.close(descriptor)
