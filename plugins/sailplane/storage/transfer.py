"""Objects from one backend to another, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from sailplane.errors import ConflictError
from sailplane.records import Record
from sailplane.storage.backend import Backend

# Small objects go through memory whole; of large ones each has pieces under way, and takes tens of megabytes.
SMALL_BYTES: Final = 2**20
SMALL_AT_A_TIME: Final = 16
LARGE_AT_A_TIME: Final = 2
# How often an object that is replaced while it is read is begun anew.
VERSIONS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Progress(Record):
    """What was moved, of what is to be moved."""

    objects: int = 0
    bytes: int = 0
    all_objects: int
    all_bytes: int


Tell = Callable[[Progress], None]
Move = tuple[str, str, int]


def transfer(source: Backend, target: Backend, moves: Sequence[Move], tell: Tell | None) -> Progress:
    """`moves`: the path there, the path here, the size in bytes. After the first failure nothing more is begun, and
    that failure is raised once what was begun has ended."""
    progress = Progress(all_objects=len(moves), all_bytes=sum(size for _, _, size in moves))
    turn = Lock()

    def move(path: str, to: str, size: int) -> None:
        nonlocal progress
        _moved(source, target, path, to, small=size <= SMALL_BYTES)
        with turn:
            progress = replace(progress, objects=progress.objects + 1, bytes=progress.bytes + size)
            if tell:
                tell(progress)

    # The largest first: the last one to end is then a small one.
    with ThreadPoolExecutor(LARGE_AT_A_TIME) as large, ThreadPoolExecutor(SMALL_AT_A_TIME) as small:
        running = [
            (small if one[2] <= SMALL_BYTES else large).submit(move, *one)
            for one in sorted(moves, key=lambda one: -one[2])
        ]
        wait(running, return_when=FIRST_EXCEPTION)
        for threads in (large, small):
            threads.shutdown(wait=False, cancel_futures=True)
    for ended in running:
        if not ended.cancelled():
            ended.result()
    return progress


def _moved(source: Backend, target: Backend, path: str, to: str, *, small: bool) -> None:
    for tried in range(1, VERSIONS + 1):
        try:
            target.put(to, source.get(path) if small else source.content(path))
            return
        except ConflictError:
            if tried == VERSIONS:
                raise
