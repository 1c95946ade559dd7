"""The refusals of the API server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    """An HTTP answer that is a `Status`."""

    def __init__(self, code: int, message: str, *, reason: str | None = None, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason or REASONS[code], causes

    def status(self) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": {"causes": [{"message": cause} for cause in self.causes]},
            "code": self.code,
        }
