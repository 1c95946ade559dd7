"""Reads and writes the JSON of requests and replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

Headers = tuple[tuple[bytes, bytes], ...]
# Numbers written at a time, which takes a millisecond or two.
_PER_PIECE: Final = 16_384


def no_check() -> None:
    pass


def parsed(body: bytes | bytearray | memoryview) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            "read request", got=f"invalid JSON: {error}", remedy="NaN and Infinity are not JSON."
        ) from error


def written(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:  # echoed members may be nested too deeply to write
        raise RequestError("answer with meta.tags", got=error, remedy="Nest them less deeply.") from error


def numbers(values: np.ndarray, check: Callable[[], None] = no_check) -> np.ndarray | orjson.Fragment:
    """Values for `written`; many are serialised here, in pieces. `check` is called between pieces and may raise to
    stop."""
    if values.size <= _PER_PIECE:
        return values
    texts, step = [], max(1, _PER_PIECE * len(values) // values.size)
    for start in range(0, len(values), step):
        check()
        texts.append(orjson.dumps(values[start : start + step], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return orjson.Fragment(b"[%s]" % b",".join(texts))
