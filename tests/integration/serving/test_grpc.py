"""The Open Inference Protocol over gRPC, with a client that knows only the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.serving.open_inference import messages_pb2 as messages
from tests.integration.serving.model_server import Server, running
from tests.unit.bundles import tiny
from tests.unit.serving.open_inference.test_messages import INFER, request

CONTENTS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
TOKEN = "a long secret"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny.bundle(tmp_path_factory.mktemp("grpc") / "bundle")


@pytest.fixture(scope="module")
def server(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    with running(bundle.folder, folder / "log", "--token-file", str(token)) as started:
        yield started


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


def call(
    channel: grpc.Channel,
    name: str,
    message: Any,
    token: str = TOKEN,
    seconds: float = 30,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    reply = getattr(messages, f"{name}Response")
    method = channel.unary_unary(f"/inference.GRPCInferenceService/{name}", response_deserializer=reply.FromString)
    sent = {"authorization": f"Bearer {token}", **(metadata or {})}
    return method(body, timeout=seconds, metadata=tuple(sent.items()))


def refused(channel: grpc.Channel, name: str, message: Any, **options: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error:
        call(channel, name, message, **options)
    return error.value.code(), error.value.details()


def inference(records: list[dict[str, Any]], **changes: Any) -> Any:
    tensors = []
    for tensor in request(records)["inputs"]:
        data = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        made = messages.ModelInferRequest.InferInputTensor(
            name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
        )
        getattr(made.contents, CONTENTS[tensor["datatype"]]).extend(data)
        tensors.append(made)
    return messages.ModelInferRequest(**{"model_name": "flights", "inputs": tensors, **changes})


def whole(bundle: Bundle) -> list[dict[str, Any]]:
    return [record for record in bundle.golden_records if None not in record.values()]


def test_the_scores_are_those_of_the_rest_form(channel: grpc.Channel, server: Server, bundle: Bundle) -> None:
    answer = call(channel, "ModelInfer", inference(whole(bundle), id="7"))
    rest = server.post(INFER, request(whole(bundle)), headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert (answer.model_name, answer.model_version, answer.id) == ("flights", bundle.version, "7")
    assert list(answer.outputs[0].shape) == rest["outputs"][0]["shape"]
    scores = np.float32(list(answer.outputs[0].contents.fp32_contents))
    np.testing.assert_array_equal(scores, np.float32(rest["outputs"][0]["data"]))


def test_raw_contents_are_answered_by_raw_contents(channel: grpc.Channel, bundle: Bundle) -> None:
    message = inference([tiny.RECORD])
    raw = []
    for tensor, kind in zip(message.inputs, ("<f8", "<f8", "<i8", None, "?", None), strict=True):
        [value] = getattr(tensor.contents, CONTENTS[tensor.datatype])
        raw.append(np.array([value], kind).tobytes() if kind else len(value).to_bytes(4, "little") + value)
        tensor.ClearField("contents")
    message.raw_input_contents.extend(raw)
    answer = call(channel, "ModelInfer", message)
    assert not answer.outputs[0].contents.fp32_contents
    usual = call(channel, "ModelInfer", inference([tiny.RECORD])).outputs[0].contents.fp32_contents
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4"), np.float32(list(usual)))


def test_health_and_metadata_say_what_is_served(channel: grpc.Channel, bundle: Bundle) -> None:
    assert call(channel, "ServerLive", messages.ServerLiveRequest(), token="none").live
    assert call(channel, "ServerReady", messages.ServerReadyRequest(), token="none").ready
    assert call(channel, "ModelReady", messages.ModelReadyRequest(name="flights", version=bundle.version)).ready
    assert call(channel, "ServerMetadata", messages.ServerMetadataRequest()).name == "sailplane"
    about = call(channel, "ModelMetadata", messages.ModelMetadataRequest(name="flights"))
    assert [(tensor.name, tensor.datatype) for tensor in about.inputs][:2] == [("distance", "FP64"), ("wind", "FP64")]
    assert list(about.versions) == [bundle.version]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"model_name": "other"}, grpc.StatusCode.NOT_FOUND, "find model: other; expected flights"),
        ({"model_version": "1"}, grpc.StatusCode.NOT_FOUND, "find model: flights 1"),
        ({"inputs": []}, grpc.StatusCode.INVALID_ARGUMENT, "'distance' is missing"),
        ({"raw_input_contents": [b"x"]}, grpc.StatusCode.INVALID_ARGUMENT, "1 for 6 inputs"),
        ({"raw_input_contents": [b"x"] * 6}, grpc.StatusCode.INVALID_ARGUMENT, "contents of input 'distance' too"),
        ({"outputs": [{"name": "nothing"}]}, grpc.StatusCode.INVALID_ARGUMENT, "read outputs"),
    ],
)
def test_a_wrong_request_has_a_status_and_a_reason(
    channel: grpc.Channel, changes: dict[str, Any], code: grpc.StatusCode, said: str
) -> None:
    got = refused(channel, "ModelInfer", inference([tiny.RECORD], **changes))
    assert got[0] == code
    assert said in got[1]
    assert call(channel, "ModelInfer", inference([tiny.RECORD])).outputs, "a good request right after it is answered"


def test_bytes_that_are_no_message_are_the_callers_fault(channel: grpc.Channel) -> None:
    code, said = refused(channel, "ModelInfer", b"\xff\xff\xff")
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "read request: an invalid ModelInferRequest" in said


def test_without_the_token_nothing_is_scored(channel: grpc.Channel) -> None:
    code, said = refused(channel, "ModelInfer", inference([tiny.RECORD]), token="other")
    assert code == grpc.StatusCode.UNAUTHENTICATED
    assert TOKEN not in said


def test_the_server_ends_at_sigterm_though_grpc_is_on(bundle: Bundle, tmp_path: Path) -> None:
    """seldon-core's wrapper hangs at SIGTERM. The channel stays open."""
    with (
        running(bundle.folder, tmp_path / "log") as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        assert call(channel, "ServerReady", messages.ServerReadyRequest()).ready
        server.process.terminate()
        server.process.wait(8)
    assert "Traceback" not in server.log.read_text()
