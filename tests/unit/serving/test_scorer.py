from __future__ import annotations

import asyncio
import time

import pytest

from sailplane.registry.bundle import Bundle
from sailplane.serving import scorer as module
from sailplane.serving.scorer import Scorer


def test_many_bodies_that_are_given_up_bring_few_trims(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not again a moment later, and some time after the last of them."""
    trims, ended = list[float](), 0.0
    monkeypatch.setattr(module, "trim", lambda: trims.append(time.monotonic()))
    monkeypatch.setattr(module, "_TRIM_SECONDS", (0.2, 0.3))
    scorer = Scorer(bundle)

    async def give_up() -> None:
        nonlocal ended
        for _ in range(100):
            scorer.in_flight.discarded()
            await asyncio.sleep(0.001)
        ended = time.monotonic()
        await asyncio.sleep(0.4)

    asyncio.run(give_up())
    assert len(trims) == 3
    assert trims[0] < ended < trims[1]
