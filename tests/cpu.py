"""CPU time as a ratio to a loop that runs in the same moment: a busy machine slows both alike."""

from __future__ import annotations

import time
from collections.abc import Callable


def loops(call: Callable[[], object]) -> float:
    """The CPU time of `call`, in loops of a million additions (about 20 to 40 ms each on an idle machine)."""
    before = _spent(_million_additions)
    spent = _spent(call)
    return spent / max(before, _spent(_million_additions))


def _spent(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return time.thread_time() - begun


def _million_additions() -> None:
    total = 0
    for number in range(1_000_000):
        total += number
