"""How long two processes take for all trials, from when both are there."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[..., None], *given: Any) -> float:
    """`work` gets the worker's name, what waits until both are there, and what is `given`."""
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
