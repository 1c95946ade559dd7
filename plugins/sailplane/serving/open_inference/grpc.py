"""The Open Inference Protocol over gRPC: converts messages to their REST form, so that both give the same answers.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving import spool
from sailplane.serving.bodies.protobuf_pieces import parsed
from sailplane.serving.grpc_server import Call, Method
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.open_inference import grpc_parts
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import messages_pb2 as open_inference_pb2
from sailplane.serving.open_inference.parts import parts
from sailplane.serving.scorer import Scorer
from sailplane.serving.violations import Violations

if TYPE_CHECKING:
    import numpy as np


messages: Any = open_inference_pb2
SERVICE: Final = "inference.GRPCInferenceService"


class OpenInferenceMethods:
    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._bundle = scorer, scorer.bundle

    def table(self) -> dict[str, Method]:
        infer = Method(self._infer, "open_inference_grpc", spool.OPEN_INFERENCE_GRPC)
        return {
            "ServerLive": Method(self._live, public=True),
            "ServerReady": Method(self._ready, public=True),
            "ModelReady": Method(self._model_ready),
            "ServerMetadata": Method(self._server_metadata),
            "ModelMetadata": Method(self._model_metadata),
            "ModelInfer": infer,
        }

    async def _live(self, _body: bytes, _call: Call) -> bytes:
        return _written(messages.ServerLiveResponse(live=True))

    async def _ready(self, _body: bytes, _call: Call) -> bytes:
        return _written(messages.ServerReadyResponse(ready=True))

    async def _model_ready(self, body: bytes, _call: Call) -> bytes:
        request = parsed(messages.ModelReadyRequest, body)
        self._check_model(request.name, request.version)
        return _written(messages.ModelReadyResponse(ready=True))

    async def _server_metadata(self, _body: bytes, _call: Call) -> bytes:
        return _written(messages.ServerMetadataResponse(**open_inference.server()))

    async def _model_metadata(self, body: bytes, _call: Call) -> bytes:
        request = parsed(messages.ModelMetadataRequest, body)
        self._check_model(request.name, request.version)
        about = open_inference.metadata(self._bundle.manifest, self._bundle.version)
        return _written(messages.ModelMetadataResponse(**about))

    async def _infer(self, body: bytes, call: Call) -> bytes:
        if len(body) > LONG_BODY:
            reply = await self._infer_long(body, call)
        else:
            request = parsed(messages.ModelInferRequest, body)
            self._check(request, call)
            message = grpc_parts.message(request, self._bundle.manifest.inputs)
            violations = Violations()
            values = self._scorer.read(open_inference.columns(message, self._bundle.manifest.inputs), violations)
            scores = await self._scorer.score(values, call.seconds)
            reply = self._response(message, scores, violations, raw=bool(request.raw_input_contents))
        call.logged = reply
        return reply

    async def _infer_long(self, body: bytes, call: Call) -> bytes:
        scorer, inputs = self._scorer, self._bundle.manifest.inputs
        async with scorer.long.turn(scorer.patience(call.seconds)) as work:
            request = await work.in_thread(lambda: grpc_parts.LongRequest(body))
            self._check(request.head, call)
            message = grpc_parts.head(request.head)
            tensors = await work.in_thread(lambda: request.tensors(inputs, scorer.most_rows))
            scores = await work.scores(parts(message, tensors, inputs, scorer.most_rows))
            return await work.in_thread(lambda: self._response(message, scores, work.violations, raw=request.raw))

    def _check(self, request: Any, call: Call) -> None:
        call.id = request.id
        self._check_model(request.model_name, request.model_version)

    def _response(self, message: Mapping[str, Any], scores: np.ndarray, violations: Violations, *, raw: bool) -> bytes:
        answer = open_inference.answer(message, self._bundle.manifest, self._bundle.version, scores, violations)
        return _written(_response(answer, scores, raw=raw))

    def _check_model(self, name: str, version: str) -> None:
        served = self._bundle.manifest.model, self._bundle.version
        if name != served[0] or version not in ("", served[1]):
            got = f"{name} {version}".strip()[:80] or "no name"
            raise RequestError("find model", got=got, expected=" ".join(served), status=404)


def request_columns(body: bytes, inputs: Sequence[Field]) -> dict[str, list[object]]:
    """The rows of a ModelInferRequest, by field."""
    return open_inference.columns(grpc_parts.message(parsed(messages.ModelInferRequest, body), inputs), inputs)


def answer_scores(reply: bytes) -> np.ndarray:
    """The output of a ModelInferResponse, float32 [n]."""
    import numpy as np

    response = messages.ModelInferResponse.FromString(reply)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], "<f4")
    return np.array(response.outputs[0].contents.fp32_contents, "float32")


def _written(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _response(answer: Mapping[str, Any], scores: np.ndarray, *, raw: bool) -> Message:
    """The response, with the tensor in the request's form."""
    [described] = answer["outputs"]
    output = messages.ModelInferResponse.InferOutputTensor(
        name=described["name"], datatype=described["datatype"], shape=described["shape"]
    )
    if not raw:
        output.contents.fp32_contents.extend(scores.reshape(-1).tolist())
    parameters = {name: _parameter(value) for name, value in answer["parameters"].items()}
    return messages.ModelInferResponse(
        model_name=answer["model_name"],
        model_version=answer["model_version"],
        id=answer.get("id", ""),
        parameters=parameters,
        outputs=[output],
        raw_output_contents=[scores.astype("<f4").tobytes()] if raw else [],
    )


def _parameter(value: str | int) -> Message:
    given = {"string_param": value} if isinstance(value, str) else {"int64_param": value}
    parameter: Message = messages.InferParameter(**given)
    return parameter
