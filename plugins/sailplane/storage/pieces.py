"""Moves an object's pieces between threads: to fetch several at a time, and to feed obstore."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def in_order(fetches: Iterable[Callable[[], T]], at_a_time: int) -> Iterator[T]:
    """The results of `fetches` in order. At most `at_a_time` run or wait to be consumed."""
    rest = iter(fetches)
    threads = ThreadPoolExecutor(at_a_time, thread_name_prefix="pieces")
    try:
        running: deque[Future[T]] = deque(threads.submit(fetch) for fetch in islice(rest, at_a_time))
        while running:
            fetched = running.popleft().result()
            running.extend(threads.submit(fetch) for fetch in islice(rest, 1))
            yield fetched
            del fetched
    finally:
        # A consumer that stops does not wait for running fetches.
        threads.shutdown(wait=False, cancel_futures=True)


def all_done(calls: Iterable[Callable[[], object]], at_a_time: int, ended: Event) -> None:
    """Runs all calls. After the first failure sets `ended` for the running ones, starts no more, and raises it once
    they end."""
    with ThreadPoolExecutor(at_a_time, thread_name_prefix="pieces") as threads:
        running = [threads.submit(call) for call in calls]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            ended.set()
            threads.shutdown(cancel_futures=True)
    for future in running:
        if not future.cancelled():
            future.result()


def handed_over(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same pieces, produced in a separate thread, because obstore panics if its input comes from obstore."""
    line: Queue[bytes | BaseException | None] = Queue(maxsize=1)
    stopped = Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                if not _queued(line, piece, stopped):
                    return
        except BaseException as error:
            last = error
        _queued(line, last, stopped)

    Thread(target=make, daemon=True, name="pieces").start()
    try:
        while (piece := line.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        stopped.set()


def _queued(line: Queue[bytes | BaseException | None], piece: bytes | BaseException | None, stopped: Event) -> bool:
    """False if the consumer has stopped."""
    while not stopped.is_set():
        try:
            line.put(piece, timeout=0.2)
        except Full:
            continue
        return True
    return False
