"""Makes errors of Seldon's own Python server equal to our server's. Flask exists only in its environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sailplane.errors import RequestError
from sailplane.serving.bodies.json import parsed, written
from sailplane.serving.seldon import messages as seldon

MAX_BODY_BYTES: Final = 16 * 2**20
_PROMETHEUS: Final = "text/plain; version=0.0.4"


def error_handler(version: str, metrics: Callable[[], str]) -> Any:
    """A Flask blueprint. Without it, a wrong path or method or invalid JSON is a 500, or a 400 without a reason."""
    from flask import Blueprint, Response  # type: ignore[import-not-found]
    from werkzeug.exceptions import HTTPException

    blueprint = Blueprint("sailplane", __name__)
    blueprint.before_app_request(_check_body)
    blueprint.app_errorhandler(HTTPException)(_refused)
    blueprint.app_errorhandler(RequestError)(lambda error: _failure(error.status, str(error)))

    blueprint.add_url_rule("/metrics", "metrics", lambda: Response(metrics(), mimetype=_PROMETHEUS))

    def with_version(answer: Any) -> Any:
        answer.headers["x-sailplane-version"] = version
        return answer

    blueprint.after_app_request(with_version)
    return blueprint


def _check_body() -> None:
    """Checks the body, whatever its content type. The server reads it again from Flask's cache."""
    from flask import request

    _check_size(request.content_length or 0)
    if request.method == "POST" and request.path in seldon.PREDICTIONS and request.mimetype != "multipart/form-data":
        body = request.get_data()
        _check_size(len(body))
        if "json" not in request.values:
            parsed(body)
            request.get_json(force=True)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        limit = f"at most {MAX_BODY_BYTES} bytes"
        raise RequestError("read request", status=413, got="a larger body", expected=limit, remedy="Send fewer rows.")


def _refused(error: Any) -> Any:
    from flask import request

    answer = error.get_response()
    if answer.status_code < 400:
        return answer
    # The server treats a wrong method as a missing file.
    if answer.status_code == 404 and request.path in seldon.PREDICTIONS:
        failure = _failure(405, f"{request.path} takes POST, not {request.method}.")
        failure.headers["Allow"] = "POST"
        return failure
    return _failure(answer.status_code, str(error.description))


def _failure(status: int, reason: str) -> Any:
    from flask import Response

    return Response(written(seldon.failure(status, reason)), status, mimetype="application/json")
