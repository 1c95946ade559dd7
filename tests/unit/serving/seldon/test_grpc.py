"""Seldon's feedback over gRPC, without a socket. The integration tests use one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf.struct_pb2 import ListValue, Value

from sailplane.bundles.bundle import Bundle
from sailplane.errors import RequestError
from sailplane.serving import feedback
from sailplane.serving.grpc_server import Call
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.scorer import Scorer
from sailplane.serving.seldon import messages_pb2 as seldon_pb2
from sailplane.serving.seldon.grpc import SeldonMethods

messages: Any = seldon_pb2
META = messages.Meta(puid="a").SerializeToString()


@pytest.fixture(scope="module")
def methods(bundle: Bundle) -> SeldonMethods:
    return SeldonMethods(Scorer(bundle))


def booleans(count: int) -> bytes:
    """Returns feedback whose truth has this many rows of one boolean."""
    row = Value(list_value=ListValue(values=[Value(bool_value=True)])).SerializeToString()
    truth = {"data": {"ndarray": {"values": [row] * count}}}
    return bytes(messages.Feedback(response={"meta": META}, truth=truth).SerializeToString())


def numbers(values: Sequence[float]) -> bytes:
    """Returns feedback whose truth is a tensor of these numbers."""
    truth = {"data": {"tensor": {"shape": [len(values)], "values": values}}}
    return bytes(messages.Feedback(response={"meta": META}, truth=truth).SerializeToString())


def fed_back(methods: SeldonMethods, body: bytes) -> tuple[Call, int]:
    """Returns the call, and the number of turns that other tasks had meanwhile."""

    async def run() -> tuple[Call, int]:
        call, turns = Call({}, None), 0
        task = asyncio.ensure_future(methods.table()["SendFeedback"].answer(body, call))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        await task
        return call, turns

    return asyncio.run(run())


def test_long_feedback_is_read_while_others_have_their_turns(methods: SeldonMethods) -> None:
    body = booleans(40_000)
    assert len(body) > 4 * LONG_BODY
    call, turns = fed_back(methods, body)
    assert (call.id, call.body.count(b"[true]")) == ("a", 40_000)
    assert turns > 10
    assert fed_back(methods, booleans(1))[1] <= 2


def test_feedback_that_is_too_long_for_the_log_is_refused(methods: SeldonMethods) -> None:
    """Numbers may be longer in JSON than in the message."""
    long = numbers(np.random.default_rng(1).random(300_000).tolist())
    assert len(long) < feedback.MOST_BYTES
    with pytest.raises(RequestError, match=r"\d+ bytes as JSON; expected at most 4194304") as refused:
        fed_back(methods, long)
    assert refused.value.status == 413
    with pytest.raises(RequestError, match=r"\d+ bytes; expected at most 4194304") as refused:
        fed_back(methods, numbers([0.5] * 600_000))
    assert refused.value.status == 413
    assert fed_back(methods, numbers([0.5] * 300_000))[0].id == "a"
