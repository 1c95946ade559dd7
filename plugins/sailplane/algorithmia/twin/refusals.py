"""What Algorithmia's API says when it does not do what was asked: `{"error": {"message", "code"}}`, and the message
again as a header, because an answer to HEAD has no body."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse

from sailplane.errors import ConfigurationError, ConflictError, RequestError, StorageError

_log = logging.getLogger(__name__)


class Refusal(RequestError):
    """`message` as it is, where clients look for words of the API's own. `details` stand beside it in the answer."""

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
    """The answer's body. What nobody foresaw goes to the log, not to the caller."""
    status, message = status_of(error), str(error)
    if isinstance(error, FileNotFoundError):
        message = f"{error} does not exist."
    if status == 500 and not isinstance(error, RequestError):
        _log.error("A request failed", exc_info=error)
        message = "The server failed on this request. The reason is in its log."
    return {"error": {"message": message, "code": status, **getattr(error, "details", {})}}


def refused(error: Exception) -> JSONResponse:
    content = document(error)
    headers = {"X-Error-Message": header_text(content["error"]["message"])}
    return JSONResponse(content, status_of(error), headers)


def header_text(message: str) -> str:
    """One line of ASCII: what else there is in a message would end the header, or not be allowed in it."""
    return " ".join(message.split()).encode("ascii", "backslashreplace").decode()
