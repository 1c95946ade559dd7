"""Copies objects from one backend to another, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from sailplane.errors import ConflictError
from sailplane.records import Record
from sailplane.storage.backend import Backend

# Small objects pass through memory whole; each large one has several pieces in transit, tens of megabytes.
SMALL_BYTES: Final = 2**20
SMALL_AT_A_TIME: Final = 16
LARGE_AT_A_TIME: Final = 2
# How often a copy restarts if the object is replaced meanwhile.
VERSIONS: Final = 3


@dataclass(frozen=True, kw_only=True)
class TransferProgress(Record):
    """The copied part of all that is to be copied."""

    objects: int = 0
    bytes: int = 0
    all_objects: int
    all_bytes: int


Tell = Callable[[TransferProgress], None]
Move = tuple[str, str, int]


def transfer(source: Backend, target: Backend, moves: Sequence[Move], tell: Tell | None) -> TransferProgress:
    """`moves`: the source path, the target path, the size in bytes. After the first failure no more copies start; it is
    raised once the running ones end."""
    progress = TransferProgress(all_objects=len(moves), all_bytes=sum(size for _, _, size in moves))
    turn = Lock()

    def move(path: str, to: str, size: int) -> None:
        nonlocal progress
        _moved(source, target, path, to, small=size <= SMALL_BYTES)
        with turn:
            progress = replace(progress, objects=progress.objects + 1, bytes=progress.bytes + size)
            if tell:
                tell(progress)

    # Largest first, so that the last one to end is small.
    with ThreadPoolExecutor(LARGE_AT_A_TIME) as large, ThreadPoolExecutor(SMALL_AT_A_TIME) as small:
        running = [
            (small if size <= SMALL_BYTES else large).submit(move, path, to, size)
            for path, to, size in sorted(moves, key=lambda planned: -planned[2])
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
