"""Measures how long two processes take for all trials, from the moment when both are ready."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[..., None], *given: Any) -> float:
    """Returns the seconds. `work` gets the worker's name, a function that waits for both workers, and `given`."""
    ready = multiprocessing.Barrier(3)
    workers = [multiprocessing.Process(target=work, args=(f"worker {n}", ready, *given)) for n in range(2)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.monotonic()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    return time.monotonic() - begun
