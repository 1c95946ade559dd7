"""Seldon's protocol (Core v1) over gRPC: converts messages to their REST form, so that both give the same answers.

https://github.com/SeldonIO/seldon-core/blob/v1.17.1/proto/prediction.proto
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from google.protobuf import json_format
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving import feedback, request_id, spool
from sailplane.serving.bodies.json import no_check
from sailplane.serving.bodies.json_pieces import LONGEST
from sailplane.serving.bodies.protobuf_pieces import parsed
from sailplane.serving.grpc_server import Call, Method
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.request_log import is_shadow
from sailplane.serving.scorer import Scorer
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.seldon import messages_pb2 as seldon_pb2
from sailplane.serving.seldon.message_json import plain, shortest
from sailplane.serving.seldon.parts import parts, rows_of_tensor
from sailplane.serving.violations import Violations

if TYPE_CHECKING:
    import numpy as np


# protobuf creates the classes at import, so type checkers do not see them.
messages: Any = seldon_pb2
# A deployment serves the first name, a model of its graph the second.
SERVICES: Final = ("seldon.protos.Seldon", "seldon.protos.Model")
# Sizes read per shape: enough to refuse a longer one.
_MOST_SIZES: Final = 8
_MOST_NAMES: Final = 100_000
_REMEDY: Final = "Send data with names and ndarray or tensor, or jsonData."
# The rows of a reply that are written at a time.
_PER_PIECE: Final = 4096


class SeldonMethods:
    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._bundle = scorer, scorer.bundle

    def table(self) -> dict[str, Method]:
        return {
            "Predict": Method(self._predict, "seldon_grpc", spool.SELDON_GRPC),
            "SendFeedback": Method(self._send_feedback, log_kind=spool.FEEDBACK),
        }

    async def _predict(self, body: bytes, call: Call) -> bytes:
        scorer, inputs = self._scorer, self._bundle.manifest.inputs
        if len(body) > LONG_BODY:
            async with scorer.long.turn(scorer.patience(call.seconds)) as work:
                head, rows = await work.in_thread(lambda: _split(body, inputs, scorer.most_rows))
                call.id = seldon.identity(head) or request_id.from_headers(call.headers)
                call.logged = scores = await work.scores(rows)
                return await work.in_thread(lambda: self._reply(head, scores, call.id, work.violations, work.check))
        head, rows = _split(body, inputs, None)
        call.id = seldon.identity(head) or request_id.from_headers(call.headers)
        [part] = rows
        violations = Violations()
        call.logged = scores = await scorer.score(scorer.read(part.columns, violations), call.seconds)
        return self._reply(head, scores, call.id, violations)

    def _reply(
        self,
        head: Mapping[str, Any],
        scores: np.ndarray,
        puid: str,
        violations: Violations,
        check: Callable[[], None] = no_check,
    ) -> bytes:
        manifest = self._bundle.manifest
        data = messages.DefaultData(names=manifest.outputs)
        if "tensor" in head["data"]:
            data.tensor.shape.extend(scores.shape)
            data.tensor.values.extend(scores.reshape(-1).tolist())
        else:
            for start in range(0, len(scores), _PER_PIECE):
                check()
                data.ndarray.values.extend(map(_row, scores[start : start + _PER_PIECE].tolist()))
        meta = _meta_message(seldon.meta(head, manifest, self._bundle.version, puid, violations))
        return bytes(messages.SeldonMessage(data=data, meta=meta).SerializeToString())

    async def _send_feedback(self, body: bytes, call: Call) -> bytes:
        model, version = self._bundle.manifest.model, self._bundle.version
        _check_size(len(body), "bytes")

        def read() -> feedback.Feedback:
            message = _feedback(body)
            # The log keeps feedback only in its REST form, which may be longer.
            call.body = orjson.dumps(message)
            _check_size(len(call.body), "bytes as JSON")
            return feedback.feedback_of(message, model)

        if len(body) <= LONG_BODY:
            given = read()
        else:
            async with self._scorer.long.turn(self._scorer.patience(call.seconds)) as work:
                given = await work.in_thread(read)
        call.id = given.puid
        if given.reward is not None and not is_shadow(call.headers):
            self._scorer.metrics.rewarded(given.answered, given.reward, call.headers)
        meta = _meta_message(feedback.reply(given, model, version)["meta"])
        return bytes(messages.SeldonMessage(meta=meta).SerializeToString())


def request_columns(body: bytes, inputs: Sequence[Field]) -> dict[str, list[object]]:
    """The rows of a SeldonMessage, by field."""
    [part] = _split(body, inputs, None)[1]
    return part.columns


def _split(body: bytes, inputs: Sequence[Field], most: int | None) -> tuple[dict[str, Any], Iterator[RowsPart]]:
    """The message in its REST form without its rows, and the rows: up to `most` at a time, or all at once for None."""
    message = parsed(messages.SeldonMessage, body)
    head, kind = {"meta": _meta(message.meta)}, message.WhichOneof("data_oneof")
    if kind == "json_data":
        payloads = _json_data(message.json_data, most)
    elif kind == "data":
        payloads = _data(message.data, most)
    else:
        seldon.columns(head | ({kind: None} if kind else {}), inputs)
    tensor = {"tensor": None} if kind == "data" and message.data.HasField("tensor") else {}
    return {**head, "data": tensor}, parts(head, payloads, inputs)


def _data(data: Any, most: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    if len(data.names) > _MOST_NAMES:
        raise RequestError("read data.names", got=f"{len(data.names)} names", expected=f"at most {_MOST_NAMES}")
    names = {"names": list(data.names)} if data.names else {}
    kind = data.WhichOneof("data_oneof")
    if kind == "ndarray":
        for rows in _lists(data.ndarray.values, most, "data.ndarray"):
            yield len(rows), {"data": {**names, "ndarray": rows}}
    elif kind == "tensor":
        shape, values = list(data.tensor.shape[:_MOST_SIZES]), data.tensor.values
        step = most * 16 if most else len(values) or 1
        pieces = (list(values[start : start + step]) for start in range(0, len(values), step))
        for count, tensor in rows_of_tensor(shape, pieces):
            yield count, {"data": {**names, **tensor}}
    else:
        raise RequestError("read data", got=kind or "no rows", expected="ndarray or tensor", remedy=_REMEDY)


def _json_data(data: Any, most: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    if data.HasField("list_value"):
        for records in _lists(data.list_value.values, most, "jsonData"):
            yield len(records), {"jsonData": records}
    else:
        _check_length(data.struct_value, "jsonData")
        fields = parsed(Struct, data.struct_value).fields if data.HasField("struct_value") else None
        yield 1, {"jsonData": None if fields is None else {name: plain(value) for name, value in fields.items()}}


def _lists(values: Sequence[bytes], most: int | None, which: str) -> Iterator[list[Any]]:
    step = most or len(values) or 1
    for start in range(0, len(values) or 1, step):
        found = []
        for index, value in enumerate(values[start : start + step], start):
            _check_length(value, f"{which}, number {index}")
            found.append(plain(parsed(Value, value)))
        yield found


def _check_length(text: bytes, which: str) -> None:
    if len(text) > LONGEST:
        raise RequestError("read", which, status=413, got=f"{len(text)} bytes", expected=f"at most {LONGEST} bytes")


def _meta(text: bytes) -> dict[str, Any]:
    _check_length(text, "meta")
    meta = parsed(messages.Meta, text)
    found: dict[str, Any] = {"tags": {name: plain(value) for name, value in meta.tags.items()}}
    return found | {"requestPath": dict(meta.request_path)} | ({"puid": meta.puid} if meta.puid else {})


def _meta_message(meta: Mapping[str, Any]) -> bytes:
    tags = {name: json_format.ParseDict(value, Value()) for name, value in meta.get("tags", {}).items()}
    message = messages.Meta(puid=meta["puid"], request_path=meta["requestPath"], tags=tags)
    return bytes(message.SerializeToString())


def _row(scores: list[float]) -> bytes:
    row = Value(list_value=ListValue(values=[Value(number_value=score) for score in scores]))
    return bytes(row.SerializeToString())


def _check_size(size: int, unit: str) -> None:
    """Longer feedback would not fit into the request log."""
    if size > feedback.MOST_BYTES:
        expected = f"at most {feedback.MOST_BYTES}"
        raise RequestError("read feedback", status=413, got=f"{size} {unit}", expected=expected)


def _feedback(body: bytes) -> dict[str, Any]:
    """Feedback in its REST form. A reward of 0 is not on the wire, so with a truth it means that there is no reward."""
    message = parsed(messages.Feedback, body)
    sides = {side: {"meta": _meta(getattr(message, side).meta)} for side in ("request", "response")}
    truth = _truth(message.truth) if message.HasField("truth") else None
    reward = shortest(message.reward)
    return {**sides, "truth": truth, "reward": None if truth and not reward else reward}


def _truth(message: Any) -> dict[str, Any] | None:
    kind = message.WhichOneof("data_oneof")
    if kind is None:
        return None
    if kind == "data" and message.data.HasField("tensor"):
        tensor = message.data.tensor
        # A tensor with one column may have one size.
        return {"data": {"tensor": {"shape": list(tensor.shape[:_MOST_SIZES]), "values": list(tensor.values)}}}
    if kind in ("data", "json_data"):
        payloads = _data(message.data, None) if kind == "data" else _json_data(message.json_data, None)
        return dict(next(payloads)[1])
    if kind == "str_data":
        return {"strData": message.str_data}
    raise RequestError("read truth of the feedback", got=kind, expected="data, jsonData or strData")
