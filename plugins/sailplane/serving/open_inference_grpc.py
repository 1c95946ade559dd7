"""The Open Inference Protocol over gRPC: its messages become those of the REST form, so that both say the same.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError, Message

from sailplane.errors import ModelError, RequestError
from sailplane.records import Field
from sailplane.registry.columns import shown
from sailplane.serving import identity, open_inference, open_inference_pb2, spool
from sailplane.serving import open_inference_binary as binary
from sailplane.serving.scorer import Scorer

if TYPE_CHECKING:
    import numpy as np

    from sailplane.serving.batcher import Values

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
# By the HTTP status that says the same.
_STATUSES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_FAILED: Final = "The model failed on this request. The reason is in the model server's log."

_log = logging.getLogger(__name__)


def service(scorer: Scorer, token: str | None = None) -> grpc.aio.Server:
    """Not started, and without a port. With a `token` all but the health calls want it, as metadata `authorization`."""
    size = scorer.limits.body
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", size),
            ("grpc.so_reuseport", 0),
        ]
    )
    calls = _Calls(scorer, token)
    # They get bytes, because grpc calls a message that cannot be parsed an internal error.
    handlers = {name: grpc.unary_unary_rpc_method_handler(calls.handler(name)) for name in _REQUESTS}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server


_REQUESTS: Final[Mapping[str, type[Message]]] = {
    name: getattr(messages, f"{name}Request")
    for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
}


class _Calls:
    def __init__(self, scorer: Scorer, token: str | None) -> None:
        self._scorer, self._bundle = scorer, scorer.bundle
        self._authorization = None if token is None else f"Bearer {token}".encode()

    def handler(self, name: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        kind, answer = _REQUESTS[name], getattr(self, f"_{name}")

        async def handle(body: bytes, context: Any) -> bytes:
            start = time.perf_counter()
            status, said, reply, known = 200, "", b"", ""
            try:
                self._check_token(name, context)
                request = _parsed(kind, body)
                known = getattr(request, "id", "")
                answered: Message = await answer(request, context)
                reply = answered.SerializeToString()
            except RequestError as error:
                status, said = error.status, str(error)
            except ModelError as error:
                status, said = 422, str(error)
            except Exception:
                _log.exception("%s", name)
                status, said = 500, _FAILED
            protocol = "open_inference_grpc" if name == "ModelInfer" else "other"
            seconds = time.perf_counter() - start
            self._scorer.metrics.answered(protocol, status, seconds)
            if name == "ModelInfer":
                self._record(context, known, status, seconds, body, reply or said.encode())
            if status != 200:
                await context.abort(_STATUSES.get(status, grpc.StatusCode.INVALID_ARGUMENT), said)
            return reply

        return handle

    def _check_token(self, name: str, context: Any) -> None:
        if self._authorization is None or name in {"ServerLive", "ServerReady"}:
            return
        given = str(dict(context.invocation_metadata() or ()).get("authorization", ""))
        if not hmac.compare_digest(given.encode(), self._authorization):
            raise RequestError(
                "call", name, status=401, got="no token", expected="the metadata authorization: Bearer TOKEN"
            )

    def _record(self, context: Any, known: str, status: int, seconds: float, body: bytes, told: bytes) -> None:
        metadata = {name.encode(): value for name, value in context.invocation_metadata() or ()}
        headers = {name: value.encode() for name, value in metadata.items() if isinstance(value, str)}
        puid = known or identity.of(headers)
        context.set_trailing_metadata([(name.decode(), value) for name, value in identity.told(puid)])
        if self._scorer.log:
            self._scorer.log.add(spool.OPEN_INFERENCE_GRPC, puid, status, seconds, body, told, headers)

    async def _ServerLive(self, _request: Any, _context: Any) -> Message:
        return messages.ServerLiveResponse(live=True)

    async def _ServerReady(self, _request: Any, _context: Any) -> Message:
        return messages.ServerReadyResponse(ready=True)

    async def _ModelReady(self, request: Any, _context: Any) -> Message:
        self._check_model(request.name, request.version)
        return messages.ModelReadyResponse(ready=True)

    async def _ServerMetadata(self, _request: Any, _context: Any) -> Message:
        return messages.ServerMetadataResponse(**open_inference.server())

    async def _ModelMetadata(self, request: Any, _context: Any) -> Message:
        self._check_model(request.name, request.version)
        return messages.ModelMetadataResponse(**open_inference.metadata(self._bundle.manifest, self._bundle.version))

    async def _ModelInfer(self, request: Any, context: Any) -> Message:
        self._check_model(request.model_name, request.model_version)
        manifest = self._bundle.manifest
        message, values = await self._scorer.parsed(lambda: self._read(request), request.ByteSize())
        scores = await self._scorer.score(values, context.time_remaining())
        answer = open_inference.answer(message, manifest, self._bundle.version, scores)
        return _response(answer, scores, raw=bool(request.raw_input_contents))

    def _read(self, request: Any) -> tuple[dict[str, Any], Values]:
        message = _message(request)
        return message, self._scorer.read(open_inference.columns(message, self._bundle.manifest.inputs))

    def _check_model(self, name: str, version: str) -> None:
        served = self._bundle.manifest.model, self._bundle.version
        if name != served[0] or version not in ("", served[1]):
            got = f"{name} {version}".strip()[:80] or "no name"
            raise RequestError("find model", got=got, expected=" ".join(served), status=404)


def request_columns(body: bytes, inputs: Sequence[Field]) -> dict[str, list[object]]:
    """Of a ModelInferRequest: its rows, by field."""
    return open_inference.columns(_message(_parsed(_REQUESTS["ModelInfer"], body)), inputs)


def answer_scores(reply: bytes) -> np.ndarray:
    """Of a ModelInferResponse: its one output, float32 [n]."""
    import numpy as np

    response = messages.ModelInferResponse.FromString(reply)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], "<f4")
    return np.array(response.outputs[0].contents.fp32_contents, "float32")


def _parsed(kind: type[Message], body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestError("read request", got=f"no {kind.DESCRIPTOR.name}: {error}") from error


def _message(request: Any) -> dict[str, Any]:
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        got = f"{len(raw)} for {len(request.inputs)} inputs"
        raise RequestError("read raw_input_contents", got=got, expected="one of each input, or none")
    if raw and (both := [tensor.name for tensor in request.inputs if tensor.HasField("contents")]):
        got = f"contents of input {shown(both[0])} too"
        raise RequestError("read raw_input_contents", got=got, expected="one of the two")
    inputs = [_tensor(tensor, raw[place] if raw else None) for place, tensor in enumerate(request.inputs)]
    outputs = [{"name": output.name} for output in request.outputs]
    return {"inputs": inputs, "outputs": outputs} | ({"id": request.id} if request.id else {})


def _tensor(tensor: Any, raw: bytes | None) -> dict[str, Any]:
    read = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if raw is not None:
        return read | {"data": binary.values(read, raw)}
    contents = _CONTENTS.get(tensor.datatype)
    data = list(getattr(tensor.contents, contents)) if contents else []
    return read | {"data": binary.texts(data, tensor.name) if contents == "bytes_contents" else data}


def _response(answer: Mapping[str, Any], scores: np.ndarray, *, raw: bool) -> Message:
    """In the form in which the request gave its tensors."""
    [described] = answer["outputs"]
    output = messages.ModelInferResponse.InferOutputTensor(
        name=described["name"], datatype=described["datatype"], shape=described["shape"]
    )
    if not raw:
        output.contents.fp32_contents.extend(scores.reshape(-1).tolist())
    parameters = {name: messages.InferParameter(string_param=value) for name, value in answer["parameters"].items()}
    return messages.ModelInferResponse(
        model_name=answer["model_name"],
        model_version=answer["model_version"],
        id=answer.get("id", ""),
        parameters=parameters,
        outputs=[output],
        raw_output_contents=[scores.astype("<f4").tobytes()] if raw else [],
    )
