"""Files that are private to their user, replaced at once, or held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sailplane.errors import ServiceError


def private_folder(path: Path) -> Path:
    """Makes the folder and what is missing above it, for this user alone. ServiceError if it is another user's."""
    if not path.parent.exists():
        private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise ServiceError("use folder", path, got="it belongs to somebody else", remedy="Remove it.")
    path.chmod(0o700)
    return path


def replace_file(path: Path, text: str) -> None:
    """A reader sees the old content or the new, never a part. The file is private."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock of a killed process is free."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
