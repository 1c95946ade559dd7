"""Sends requests to a model while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx


@contextmanager
def asked_all_the_time(
    ask: Callable[[httpx.Client], object], *, clients: int = 1, pause: float = 0.0
) -> Iterator[None]:
    """Runs clients that keep their connections and call `ask` until the block ends. The block raises the errors of
    `ask`."""
    over = threading.Event()

    def work() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not over.wait(pause):
                ask(client)

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(work) for _ in range(clients)]
        try:
            yield
        finally:
            over.set()
    for one in asking:
        one.result()
