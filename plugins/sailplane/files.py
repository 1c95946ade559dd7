"""Files that are private to their user, replaced at once, or held by one process at a time; and what is said where a
disk takes no more of them."""

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
# What the kernel refuses a write with where there is no room, in words, and the remedy.
FULL: Final = {
    errno.ENOSPC: ("the disk is too full", _ROOM),
    errno.EDQUOT: ("your quota on this disk is used up", _ROOM),
    errno.EFBIG: ("the file is larger than `ulimit -f` allows", "Raise that limit, and run again."),
}


def free_bytes(path: Path) -> int:
    """On the disk that holds the path, or that would."""
    return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free


def is_full(path: Path) -> bool:
    """So little is free that what failed here can be taken to have failed for that, even if it could not say so."""
    return free_bytes(path) < 10_000_000


def no_room(failed: str, which: object, *, disk: Path, got: str = "", number: int = errno.ENOSPC) -> StorageError:
    """What to raise for a write that found no room on `disk`; `got` where it has words of its own for that."""
    words, remedy = FULL[number]
    return StorageError(failed, which, got=f"{got or words}, {free_bytes(disk) / 1e6:.1f} MB are free", remedy=remedy)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raises StorageError, with the file's name and the remedy, where what is written finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        # Of a copy, the first name is the source's.
        which = Path(error.filename2 or error.filename or path)
        raise no_room("write", which, disk=which, number=error.errno) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for as long as it is needed. StorageError where there is no room for one."""
    try:
        with room_for(Path(tempfile.gettempdir())):
            made = tempfile.TemporaryDirectory(prefix="sailplane-")
    except FileNotFoundError as error:
        # Python's error for folders in which no file can be written.
        remedy = "Free some space, or set TMPDIR to a folder on another disk."
        raise StorageError("make a temporary folder", got=error.strerror, remedy=remedy) from error
    with made as name:
        yield Path(name)


def private_folder(path: Path) -> Path:
    """Makes the folder and what is missing above it, for this user alone. ServiceError if it is another user's."""
    if not path.parent.exists():
        private_folder(path.parent)
    with room_for(path):
        path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise ServiceError("use folder", path, got="it belongs to somebody else", remedy="Remove it.")
    path.chmod(0o700)
    return path


def replace_file(path: Path, text: str) -> None:
    """A reader sees the old content or the new, never a part. The file is private. StorageError where there is
    no room."""
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
    """One process at a time, or any number that share the lock; the lock of a killed process is free. Waits for the
    lock, or raises `busy` at once."""
    # Windows has none; a remote worker there needs the rest of this module only.
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
