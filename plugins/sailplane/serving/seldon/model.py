"""The model class for Seldon's own Python server, `seldon-core-microservice` of seldon-core 1.17.1:

    seldon-core-microservice sailplane.serving.SeldonModel --service-type MODEL \\
      --parameters '[{"name": "model_uri", "value": "s3://bucket/models/churn/0123", "type": "STRING"}]'

It gives the same answers as our own model server.
https://docs.seldon.ai/seldon-core-1/tutorials/python-language-wrapper/python_component
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import orjson

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import read
from sailplane.errors import ModelError, RequestError, SailplaneError
from sailplane.serving import request_id
from sailplane.serving.bodies.json import written
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.seldon.counts import SharedCounts
from sailplane.serving.seldon.message_json import as_json, shortest
from sailplane.serving.violations import DEFAULT, Policy, Violations, chosen, judged
from sailplane.storage import Storage
from sailplane.storage.roots import Root

if TYPE_CHECKING:
    import numpy as np

# Seldon's init container downloads a graph node's modelUri to this folder.
MOUNTED: Final = "/mnt/models"
_FAILED: Final = "The model failed on this request. The reason is in the model server's log."

_log = logging.getLogger(__name__)


class SeldonModel:
    """Serves a bundle, given by its URI or path. A damaged or missing bundle stops the server before it opens a port.
    `on_violation` says whether to "refuse", "flag" or "answer" requests with values that fail a check of the schema."""

    def __init__(self, model_uri: str = MOUNTED, on_violation: str = DEFAULT) -> None:
        self._bundle = Bundle.open(_folder(model_uri))
        self._on_violation = Policy(chosen(on_violation))
        # Serialises the server's threads: a bundle makes one prediction at a time.
        self._turn = Lock()
        self._counts = SharedCounts(self._bundle.manifest.model, self._bundle.version, self._bundle.checks.known)
        # The server reads metrics from the reply, and by default leaves them in it.
        self._measures = os.environ.get("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "").lower() == "false"

    def load(self) -> None:
        """Checks the scores of the golden rows in each of the server's processes. ModelError stops the server. Never
        raises AttributeError, which the server would take for a class without `load`, and serve."""
        try:
            self._bundle.check()
        except SailplaneError:
            raise
        except Exception as error:
            raise ModelError("load", self._bundle.folder, got=f"{type(error).__name__}: {error}") from error

    def predict_raw(self, message: Any) -> Any:
        """Answers a REST request's JSON with JSON, or a SeldonMessage with a SeldonMessage. The reply to a bad request
        has its status and reason."""
        if hasattr(message, "DESCRIPTOR"):
            return _as_proto(self._answer(lambda: as_json(message)), type(message))
        return self._answer(lambda: message)

    def send_feedback_raw(self, feedback: Any) -> Any:
        """Logs one line with the request's puid; the server itself counts rewards. Raises RequestError without a
        puid."""
        message = as_json(feedback)
        puid = _puid(message)
        line = {"puid": puid, "reward": shortest(feedback.reward), "truth": message.get("truth")}
        _log.info("feedback %s", written(line).decode())
        reply = {"meta": {"puid": puid, "requestPath": {self._bundle.manifest.model: self._bundle.version}}}
        return _as_proto(reply, type(feedback.request))

    def init_metadata(self) -> dict[str, Any]:
        return dict(orjson.loads(written(seldon.metadata(self._bundle.manifest, self._bundle.version))))

    def health_status_raw(self) -> dict[str, Any]:
        return seldon.health(self._bundle.manifest, self._bundle.version)

    @property
    def model_error_handler(self) -> Any:
        """A Flask blueprint that answers a wrong path, a wrong method or too large a body. It also serves `/metrics`,
        because the server's own metrics lack scores and lose the counts of ended processes."""
        from sailplane.serving.seldon.errors import error_handler

        return error_handler(self._bundle.version, self.metrics_text)

    def metrics_text(self) -> str:
        """The metrics of all processes of this server, in Prometheus' text format."""
        return self._counts.text()

    def _answer(self, read: Callable[[], Any]) -> dict[str, Any]:
        start = time.perf_counter()
        status, reply, scores = self._status_and_reply(read)
        self._counts.answered(status, time.perf_counter() - start, scores)
        return reply

    def _status_and_reply(self, read: Callable[[], Any]) -> tuple[int, dict[str, Any], np.ndarray | None]:
        try:
            return 200, *self._reply(read())
        except RequestError as error:
            return error.status, seldon.failure(error.status, str(error)), None
        except ModelError as error:
            return 422, seldon.failure(422, str(error)), None
        except Exception:
            _log.exception("predict")
            return 500, seldon.failure(500, _FAILED), None

    def _reply(self, message: Any) -> tuple[dict[str, Any], np.ndarray]:
        manifest = self._bundle.manifest
        values = read(seldon.columns(message, manifest.inputs), manifest.inputs)
        violations = judged(self._bundle.checks.violations(values), self._on_violation, self._counts.violated)
        with self._turn:
            start = time.perf_counter()
            scores = self._bundle.predict_values(values)
            seconds = time.perf_counter() - start
        puid = seldon.identity(message) or request_id.from_headers({})
        body, _ = seldon.reply(message, manifest, self._bundle.version, scores, puid, Violations(violations))
        reply = dict(orjson.loads(body))
        if self._measures:
            reply["meta"]["metrics"] = self._metrics(len(scores), seconds)
        return reply, scores

    def _metrics(self, rows: int, seconds: float) -> list[dict[str, Any]]:
        """Metrics with our own server's names. A timer takes milliseconds; the server exports seconds."""
        labels = {"model": self._bundle.manifest.model, "version": self._bundle.version}
        return [
            {"type": "COUNTER", "key": "sailplane_rows", "value": rows, "tags": {**labels}},
            {"type": "TIMER", "key": "sailplane_batch_seconds", "value": seconds * 1000, "tags": {**labels}},
        ]


def _puid(feedback: dict[str, Any]) -> str:
    metas = [feedback.get(side, {}).get("meta", {}) for side in ("response", "request")]
    given = [str(meta["puid"]) for meta in metas if meta.get("puid")]
    if not given:
        expected = "the puid of the reply"
        raise RequestError("read response.meta.puid of the feedback", got="nothing", expected=expected)
    return given[0]


def _folder(uri: str) -> Path:
    """The bundle's folder if it is on this machine; else the folder of a copy, which is removed when this process
    ends."""
    if "://" not in uri:
        return Path(uri)
    if Root.parse(uri).scheme == "file":
        return Path(url2pathname(urlsplit(uri).path))
    folder = Path(tempfile.mkdtemp(prefix="seldon-model-"))
    _at_exit_of_process(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        Storage(uri).download("", folder)
    except FileNotFoundError as error:
        raise ModelError("fetch bundle", uri, got="no such folder", expected="a folder with manifest.json") from error
    return folder


def _at_exit_of_process(act: Callable[[], None]) -> None:
    """Runs `act` when this process exits, but not when its forked workers do, which end earlier and are restarted."""
    pid = os.getpid()
    atexit.register(lambda: act() if os.getpid() == pid else None)


def _as_proto(reply: dict[str, Any], kind: Callable[[], Any]) -> Any:
    from google.protobuf.json_format import ParseDict

    return ParseDict(reply, kind(), ignore_unknown_fields=True)
