"""Errors in Algorithmia's format: `{"error": {"message", "code"}}`. A header repeats the message, because a response to
HEAD has no body."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse

from sailplane.errors import ConfigurationError, ConflictError, RequestError, StorageError

_log = logging.getLogger(__name__)


class Refusal(RequestError):
    """`message` is sent unchanged, because clients look for the API's own words. `details` are added to the
    response."""

    def __init__(self, status: int, message: str, **details: object) -> None:
        Exception.__init__(self, message)
        self.status = status
        self.details = details


def status_of(error: Exception) -> int:
    match error:
        case RequestError():
            return error.status
        case ConfigurationError():
            return 400
        case FileNotFoundError():
            return 404
        case ConflictError():
            return 409
        case StorageError():
            return 503
        case _:
            return 500


def document(error: Exception) -> dict[str, Any]:
    """The response body. Unexpected errors are logged, not sent to the caller."""
    status, message = status_of(error), str(error)
    if isinstance(error, FileNotFoundError):
        message = f"{error} does not exist."
    if status == 500 and not isinstance(error, RequestError):
        _log.error("A request failed", exc_info=error)
        message = "The server failed on this request. See its log."
    return {"error": {"message": message, "code": status, **getattr(error, "details", {})}}


def refused(error: Exception) -> JSONResponse:
    content = document(error)
    headers = {"X-Error-Message": header_text(content["error"]["message"])}
    return JSONResponse(content, status_of(error), headers)


def header_text(message: str) -> str:
    """The message as one line of ASCII; other characters would end the header or are not allowed in it."""
    return " ".join(message.split()).encode("ascii", "backslashreplace").decode()
