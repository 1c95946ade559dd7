"""A disk that can be filled: a small tmpfs or, without the right to mount one, the kernel's limit on the size of a
file. Both refuse a write in the middle of a file. No part of the platform is replaced."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

FILLER = "filler"
PAGE = 4096
# Its standard input closes when the tests end, for any reason.
UNMOUNT_AT_THE_END = 'cat >/dev/null; exec umount -l -- "$0"'


class SmallDisk(Protocol):
    """A small disk, on which `folder` is."""

    folder: Path

    def full(self, leave: int) -> AbstractContextManager[None]:
        """Within the block a file larger than `leave` bytes does not fit."""
        ...


class _Mounted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def full(self, leave: int) -> Iterator[None]:
        filler = self.folder / FILLER
        pages = (shutil.disk_usage(self.folder).free - leave) // PAGE
        try:
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, pages * PAGE)
            yield
        finally:
            filler.unlink()


class _Limited:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def full(self, leave: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (leave, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def mounted(folder: Path) -> Iterator[SmallDisk]:
    """Mounts a tmpfs of 32 MB, which is unmounted even if the tests are killed."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "sailplane-tests", str(folder)], check=True)
    command = ["sh", "-c", UNMOUNT_AT_THE_END, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as unmounting:
        try:
            yield _Mounted(folder)
        finally:
            unmounting.communicate()
    assert not folder.is_mount()


@contextmanager
def limited(folder: Path) -> Iterator[SmallDisk]:
    """An ordinary folder. While it is full, this process and its children are limited."""
    folder.mkdir()
    yield _Limited(folder)


@cache
def disks() -> list[Callable[[Path], AbstractContextManager[SmallDisk]]]:
    """Returns each kind of small disk that this machine allows."""
    if sys.platform == "linux" and os.geteuid() == 0 and _may_mount():
        return [mounted, limited]
    return [limited]


def _may_mount() -> bool:
    with TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "sailplane-tests", folder]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True
