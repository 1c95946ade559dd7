"""The routes of the model server: the handlers of each path. The protocol modules interpret messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import orjson

from sailplane.records import Field
from sailplane.serving import feedback, metrics, openapi, request_id, spool
from sailplane.serving.answers import JSON, Answer, Request
from sailplane.serving.bodies.form import is_form, message_of_form
from sailplane.serving.bodies.json_pieces import Buffer
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import parts as open_inference_parts
from sailplane.serving.request_log import is_shadow
from sailplane.serving.scorer import Scorer
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.seldon import parts as seldon_parts

# Envoy sends the caller's timeout in this header.
_TIMEOUT: Final = b"x-envoy-expected-rq-timeout-ms"

Handler = Callable[[Request], Awaitable[Answer]]
# Takes a long body, its headers, the model's inputs and the rows per part. Returns the message and its parts.
Split = Callable[[Buffer, Mapping[bytes, bytes], Sequence[Field], int], tuple[Mapping[str, Any], Iterator[RowsPart]]]


class Routes:
    """The handlers of one version: `methods` by path and HTTP method. `log_kinds` has the kind of log entry of each
    logged path. `token` says whether the server requires a token, for its OpenAPI document."""

    def __init__(self, scorer: Scorer, *, token: bool) -> None:
        self._scorer = scorer
        self.methods = self._table(token=token)
        self.log_kinds = self._logged()

    @staticmethod
    def protocol(path: str) -> str:
        """The protocol's name in the metrics."""
        if path.startswith("/v2/models/"):
            return "open_inference"
        return "seldon" if path in seldon.PREDICTIONS else "other"

    def _table(self, *, token: bool) -> Mapping[str, Mapping[str, Handler]]:
        manifest, version = self._scorer.bundle.manifest, self._scorer.bundle.version
        predict = {"POST": self._predicts(seldon, seldon_parts.split)}
        infer = {"POST": self._predicts(open_inference, open_inference_parts.split)}
        metadata = {"GET": _fixed(seldon.metadata(manifest, version))}
        health = {"GET": _fixed(seldon.health(manifest, version))}
        ready = {"name": manifest.model, "ready": True}
        described = {"GET": _fixed(openapi.document(self._scorer.bundle, token=token))}
        table: dict[str, Mapping[str, Handler]] = {
            "/api/v1.0/predictions": predict,
            "/api/v0.1/predictions": predict,
            "/predict": predict,
            **{path: {"POST": self._feedback} for path in feedback.PATHS},
            "/metadata": metadata,
            "/api/v1.0/metadata": metadata,
            "/health/ping": {"GET": _pong},
            "/health/status": health,
            "/api/v1.0/health/status": health,
            "/metrics": {"GET": self._metrics},
            "/openapi.json": described,
            # The name that Seldon's own server uses.
            "/seldon.json": described,
            "/v2": {"GET": _fixed(open_inference.server())},
            "/v2/health/live": {"GET": _fixed({"live": True})},
            "/v2/health/ready": {"GET": _fixed({"ready": True})},
        }
        for prefix in (f"/v2/models/{manifest.model}", f"/v2/models/{manifest.model}/versions/{version}"):
            table[prefix] = {"GET": _fixed(open_inference.metadata(manifest, version))}
            table[f"{prefix}/ready"] = {"GET": _fixed(ready)}
            table[f"{prefix}/infer"] = infer
        return table

    def _logged(self) -> Mapping[str, int]:
        """The kind of log entry for each path."""
        infer = (path for path in self.methods if path.endswith("/infer"))
        return {
            **dict.fromkeys(seldon.PREDICTIONS, spool.SELDON),
            **dict.fromkeys(infer, spool.OPEN_INFERENCE),
            **dict.fromkeys(feedback.PATHS, spool.FEEDBACK),
        }

    def _predicts(self, protocol: ModuleType, split: Split) -> Handler:
        scorer, manifest, version = self._scorer, self._scorer.bundle.manifest, self._scorer.bundle.version
        # Only Seldon's protocol has forms.
        without_form = _without_form if protocol is seldon else _unchanged

        async def predict(request: Request) -> Answer:
            if len(request.body) > LONG_BODY:
                return await predict_long(request)
            request.body = without_form(request.body, request.headers)
            message = protocol.message(request.body, request.headers)
            request.id = protocol.identity(message) or request_id.from_headers(request.headers)
            values = scorer.read(protocol.columns(message, manifest.inputs), request.violations)
            request.scores = scores = await scorer.score(values, _seconds(request.headers))
            body, headers = protocol.reply(message, manifest, version, scores, request.id, request.violations)
            return Answer(200, body, headers or JSON)

        async def predict_long(request: Request) -> Answer:
            given = request.headers
            async with scorer.long.turn(scorer.patience(_seconds(given))) as work:
                request.body = text = await work.in_thread(lambda: without_form(request.body, given))
                message, parts = await work.in_thread(lambda: split(text, given, manifest.inputs, scorer.most_rows))
                request.id = protocol.identity(message) or request_id.from_headers(given)
                request.scores = scores = await work.scores(parts)
                body, headers = await work.in_thread(
                    lambda: protocol.reply(message, manifest, version, scores, request.id, work.violations, work.check)
                )
            return Answer(200, body, headers or JSON)

        return predict

    async def _feedback(self, request: Request) -> Answer:
        model, version = self._scorer.bundle.manifest.model, self._scorer.bundle.version

        def read() -> feedback.Feedback:
            request.body = _without_form(request.body, request.headers)
            return feedback.read_feedback(request.body, model)

        if len(request.body) <= LONG_BODY:
            given = read()
        else:
            async with self._scorer.long.turn(self._scorer.patience(_seconds(request.headers))) as work:
                given = await work.in_thread(read)
        request.id = given.puid
        # The copy sent to a shadow must not count twice.
        if given.reward is not None and not is_shadow(request.headers):
            self._scorer.metrics.rewarded(given.answered, given.reward, request.headers)
        return Answer(200, orjson.dumps(feedback.reply(given, model, version)))

    async def _metrics(self, _request: Request) -> Answer:
        return Answer(200, self._scorer.metrics.text(), ((b"content-type", metrics.CONTENT_TYPE.encode()),))


def _without_form(body: bytes | bytearray, headers: Mapping[bytes, bytes]) -> bytes | bytearray:
    return message_of_form(headers, body) if is_form(headers, body) else body


def _unchanged(body: bytes | bytearray, _headers: Mapping[bytes, bytes]) -> bytes | bytearray:
    return body


def _seconds(headers: Mapping[bytes, bytes]) -> float | None:
    timeout = headers.get(_TIMEOUT, b"")
    return int(timeout) / 1000 if timeout.isdigit() and len(timeout) < 10 else None


def _fixed(result: object) -> Handler:
    answer = Answer(200, orjson.dumps(result))

    async def answered(_request: Request) -> Answer:
        return answer

    return answered


async def _pong(_request: Request) -> Answer:
    return Answer(200, b"pong", ((b"content-type", b"text/plain; charset=utf-8"),))
