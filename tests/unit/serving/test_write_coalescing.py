from __future__ import annotations

import asyncio
from typing import Any

from sailplane.serving.write_coalescing import OneWrite


class Recorded(asyncio.Transport):
    """Records each write that reaches the system."""

    def __init__(self) -> None:
        super().__init__({"peername": "somebody"})
        self.calls: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_what_is_written_in_a_turn_is_one_call_and_nothing_waits_for_another_turn() -> None:
    below = Recorded()

    async def work() -> None:
        transport = OneWrite(below, asyncio.get_running_loop())
        for head, body in ((b"a", b"b"), (b"c", b"d")):
            transport.write(head)
            transport.write(body)
            assert below.calls[-1:] != [head + body]
            await asyncio.sleep(0)
            assert below.calls[-1] == head + body
        assert transport.get_extra_info("peername") == "somebody"

    asyncio.run(work())
    assert below.calls == [b"ab", b"cd"]


def test_what_was_written_goes_out_before_it_is_closed_and_nothing_after() -> None:
    below = Recorded()

    async def work() -> None:
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"a")
        transport.close()
        transport.write(b"b")
        await asyncio.sleep(0)

    asyncio.run(work())
    assert (below.calls, below.closed) == ([b"a"], True)
