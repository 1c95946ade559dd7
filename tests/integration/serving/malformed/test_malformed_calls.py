"""300 malformed gRPC calls. Each is refused at once with a status that blames the caller and a reason that names the
tensor. A valid call right after it gets its score."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import grpc
import numpy as np
import pytest

from sailplane.serving.open_inference import messages_pb2 as messages
from tests.integration.serving.malformed.calls import MODELS, spoiled_bytes, spoiled_call
from tests.integration.serving.malformed.tables import NO_HTTP, post
from tests.integration.serving.malformed.verdict import SECONDS, Target, check_reason, refused
from tests.integration.serving.model_server import Server
from tests.integration.serving.test_grpc import inference
from tests.unit.bundles import tiny

SERVICE = "/inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"
GOOD = inference([tiny.RECORD]).SerializeToString()
WRONG, NOWHERE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
Try = Callable[..., grpc.StatusCode | None]


@pytest.fixture(scope="module")
def attempt(server: Server, target: Target) -> Iterator[Try]:
    with attempts(server.grpc_port, target.score) as attempt:
        yield attempt


@contextmanager
def attempts(port: int, good: float) -> Iterator[Try]:
    """Yields the status of a call with these bytes, or None if they are valid nevertheless."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def one(body: bytes, named: tuple[str, ...] = (), method: str = INFER) -> grpc.StatusCode | None:
            code = None
            try:
                reply = channel.unary_unary(method)(body, timeout=SECONDS)
                assert scores_of(reply).ndim == 1
            except grpc.RpcError as error:
                code = error.code()
                check_reason(error.details(), named)
            [score] = scores_of(channel.unary_unary(INFER)(GOOD, timeout=SECONDS))
            assert score == np.float32(good)
            return code

        yield one


def scores_of(reply: bytes) -> np.ndarray:
    [output] = (answer := messages.ModelInferResponse.FromString(reply)).outputs
    raw = answer.raw_output_contents
    scores = np.frombuffer(raw[0], "<f4") if raw else np.float32(list(output.contents.fp32_contents))
    assert scores.size == np.prod(output.shape)
    return scores


def is_refused(code: grpc.StatusCode | None) -> bool:
    assert code in (None, WRONG, NOWHERE), code
    return code is not None


def test_a_good_call_that_is_spoiled_anywhere_is_refused_by_the_name_of_the_tensor(attempt: Try) -> None:
    assert refused(lambda call: is_refused(attempt(*call)), spoiled_call(), 200) >= 160


def test_through_the_router_the_reasons_are_the_same(router: Target) -> None:
    with attempts(router.port, router.score) as attempt:
        assert refused(lambda call: is_refused(attempt(*call)), spoiled_call(), 40) >= 30
        assert attempt(GOOD, method="/seldon.protos.Router/Route") in (NOWHERE, grpc.StatusCode.UNIMPLEMENTED)


def test_bytes_that_are_no_message_are_refused(attempt: Try) -> None:
    assert refused(lambda call: is_refused(attempt(*call)), spoiled_bytes(), 80) >= 60


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata"])
def test_a_model_that_is_not_there_is_not_found(attempt: Try, method: str) -> None:
    for name in MODELS:
        message = getattr(messages, f"{method}Request")(name=name)
        assert attempt(message.SerializeToString(), ("find model",), f"{SERVICE}/{method}") == NOWHERE


@pytest.mark.parametrize(
    "method", [f"{SERVICE}/modelinfer", f"{SERVICE}/", "/inference.Other/ModelInfer", "/seldon.protos.Model/Route"]
)
def test_a_method_that_is_not_there_is_not_implemented(attempt: Try, method: str) -> None:
    assert attempt(GOOD, method=method) == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_over_the_limit_is_refused_as_such(attempt: Try) -> None:
    message = inference([tiny.RECORD], id="x" * 17 * 2**20)
    assert attempt(message.SerializeToString()) == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_no_grpc_closes_its_own_connection_only(attempt: Try, server: Server) -> None:
    for sent in [post(), NO_HTTP["a TLS hello"], b"\0" * 2**20]:
        address = ("127.0.0.1", server.grpc_port)
        with socket.create_connection(address, timeout=SECONDS) as connection, suppress(ConnectionError):
            connection.sendall(sent)
            while connection.recv(2**16):
                pass
        assert attempt(GOOD) is None
