"""JSON in and out of a request's body."""

from __future__ import annotations

from typing import Any

import orjson

from sailplane.errors import RequestError

Headers = tuple[tuple[bytes, bytes], ...]


def parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            "read request", got=f"no valid JSON: {error}", remedy="NaN and Infinity are none."
        ) from error


def written(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:  # what comes back of a request may be too deep to be written again
        raise RequestError("answer with meta.tags", got=error, remedy="Nest them less deeply.") from error
