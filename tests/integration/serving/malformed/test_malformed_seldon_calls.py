"""200 malformed calls of Seldon's own gRPC services. Each is refused at once with a status that blames the caller and a
reason that names the error. A valid call right after it gets its score."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.struct_pb2 import Value

from sailplane.serving.seldon import messages_pb2 as messages
from tests.integration.serving.malformed.seldon_calls import (
    good,
    good_feedback,
    spoiled_seldon_bytes,
    spoiled_seldon_call,
)
from tests.integration.serving.malformed.verdict import SECONDS, Target, check_reason, refused
from tests.integration.serving.model_server import Server

WRONG = grpc.StatusCode.INVALID_ARGUMENT
PREDICT, FEEDBACK = "/seldon.protos.Seldon/Predict", "/seldon.protos.Model/SendFeedback"
Try = Callable[..., bool]


@pytest.fixture(scope="module")
def attempt(server: Server, target: Target) -> Iterator[Try]:
    """Whether the bytes of a message are refused; otherwise they are valid nevertheless."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:

        def one(body: bytes, named: tuple[str, ...] = (), method: str = PREDICT) -> bool:
            code = None
            try:
                messages.SeldonMessage.FromString(channel.unary_unary(method)(body, timeout=SECONDS))
            except grpc.RpcError as error:
                code = error.code()
                check_reason(error.details(), named)
            reply = channel.unary_unary(PREDICT)(good().SerializeToString(), timeout=SECONDS)
            for row in messages.SeldonMessage.FromString(reply).data.ndarray.values:
                [score] = Value.FromString(row).list_value.values
                assert score.number_value == pytest.approx(target.score, abs=1e-6)
            assert code in (None, WRONG), code
            return code is not None

        yield one


def test_a_good_call_that_is_spoiled_anywhere_is_refused_by_the_name_of_the_place(attempt: Try) -> None:
    assert refused(lambda call: attempt(*call), spoiled_seldon_call(), 120) >= 90


def test_bytes_that_are_no_message_are_refused(attempt: Try) -> None:
    assert refused(lambda body: attempt(body), spoiled_seldon_bytes(), 40) >= 15
    assert refused(lambda body: attempt(body, (), FEEDBACK), spoiled_seldon_bytes(), 40) >= 15


def test_feedback_without_a_puid_is_refused(attempt: Try) -> None:
    assert not attempt(good_feedback().SerializeToString(), (), FEEDBACK)
    assert attempt(messages.Feedback(reward=1.0).SerializeToString(), ("puid",), FEEDBACK)
