"""The Open Inference Protocol over gRPC: its messages become those of the REST form, so that both say the same.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError, Message

from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.registry.columns import shown
from sailplane.serving import open_inference, open_inference_pb2, spool
from sailplane.serving import open_inference_binary as binary
from sailplane.serving.grpc_server import Call, Method
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.open_inference_parts import Tensor, parts
from sailplane.serving.scorer import Scorer
from sailplane.serving.violations import Violations

if TYPE_CHECKING:
    import numpy as np


# Its classes are made when it is imported.
messages: Any = open_inference_pb2
SERVICE: Final = "inference.GRPCInferenceService"
_CONTENTS: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
# Sizes of a shape that are read. The protocol takes two, so the first eight are enough to refuse the rest.
_MOST_SIZES: Final = 8


class Methods:
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
            request = self._request(body, call)
            message = _message(request)
            violations = Violations()
            values = self._scorer.read(open_inference.columns(message, self._bundle.manifest.inputs), violations)
            scores = await self._scorer.score(values, call.seconds)
            reply = self._response(request, message, scores, violations)
        call.told = reply
        return reply

    async def _infer_long(self, body: bytes, call: Call) -> bytes:
        scorer, inputs = self._scorer, self._bundle.manifest.inputs
        async with scorer.long.turn(scorer.patience(call.seconds)) as work:
            request = await work.aside(lambda: self._request(body, call))
            message, tensors = _head(request), _tensors(request, scorer.most_rows)
            scores = await work.scores(parts(message, tensors, inputs, scorer.most_rows))
            return await work.aside(lambda: self._response(request, message, scores, work.violations))

    def _request(self, body: bytes, call: Call) -> Any:
        request = parsed(messages.ModelInferRequest, body)
        call.id = request.id
        self._check_model(request.model_name, request.model_version)
        return request

    def _response(self, request: Any, message: Mapping[str, Any], scores: np.ndarray, violations: Violations) -> bytes:
        answer = open_inference.answer(message, self._bundle.manifest, self._bundle.version, scores, violations)
        return _written(_response(answer, scores, raw=bool(request.raw_input_contents)))

    def _check_model(self, name: str, version: str) -> None:
        served = self._bundle.manifest.model, self._bundle.version
        if name != served[0] or version not in ("", served[1]):
            got = f"{name} {version}".strip()[:80] or "no name"
            raise RequestError("find model", got=got, expected=" ".join(served), status=404)


def request_columns(body: bytes, inputs: Sequence[Field]) -> dict[str, list[object]]:
    """Of a ModelInferRequest: its rows, by field."""
    return open_inference.columns(_message(parsed(messages.ModelInferRequest, body)), inputs)


def answer_scores(reply: bytes) -> np.ndarray:
    """Of a ModelInferResponse: its one output, float32 [n]."""
    import numpy as np

    response = messages.ModelInferResponse.FromString(reply)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], "<f4")
    return np.array(response.outputs[0].contents.fp32_contents, "float32")


def parsed(kind: type[Message], body: bytes) -> Any:
    """Raises RequestError for bytes that are no such message, which grpc would call an internal error."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestError("read request", got=f"no {kind.DESCRIPTOR.name}: its bytes are broken") from error


def _written(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _message(request: Any) -> dict[str, Any]:
    tensors = _tensors(request, None)
    return _head(request) | {"inputs": [{**one.described, "data": next(one.values)} for one in tensors]}


def _head(request: Any) -> dict[str, Any]:
    outputs = [{"name": output.name} for output in request.outputs]
    return {"outputs": outputs} | ({"id": request.id} if request.id else {})


def _tensors(request: Any, most: int | None) -> list[Tensor]:
    """Each with up to `most` values at a time; without it, with all of them at once."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        got = f"{len(raw)} for {len(request.inputs)} inputs"
        raise RequestError("read raw_input_contents", got=got, expected="one of each input, or none")
    if raw and (both := [tensor.name for tensor in request.inputs if tensor.HasField("contents")]):
        got = f"contents of input {shown(both[0])} too"
        raise RequestError("read raw_input_contents", got=got, expected="one of the two")
    return [_tensor(tensor, raw[place] if raw else None, most) for place, tensor in enumerate(request.inputs)]


def _tensor(tensor: Any, raw: bytes | None, most: int | None) -> Tensor:
    described: dict[Any, Any] = {"name": tensor.name, "datatype": tensor.datatype}
    described |= {"shape": list(tensor.shape[:_MOST_SIZES]), binary.FILLED: True}
    if raw is None:
        return Tensor(described, _contents(tensor, most))
    return Tensor(described, binary.chunks(described, raw, most) if most else iter([binary.values(described, raw)]))


def _contents(tensor: Any, most: int | None) -> Iterator[list[Any]]:
    name = _CONTENTS.get(tensor.datatype)
    values = getattr(tensor.contents, name) if name else []
    for start in range(0, len(values) or 1, most or len(values) or 1):
        some = list(values[start : start + most] if most else values)
        yield binary.texts(some, tensor.name) if name == "bytes_contents" else some


def _response(answer: Mapping[str, Any], scores: np.ndarray, *, raw: bool) -> Message:
    """In the form in which the request gave its tensors."""
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
