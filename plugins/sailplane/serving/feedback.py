"""Seldon's feedback (Core v1): the reward and the truth for an answer, found by its puid.

https://docs.seldon.ai/seldon-core-1/development-and-reference/apis/external-prediction
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from sailplane.bundles.columns import LARGEST_NUMBER, shown
from sailplane.errors import RequestError
from sailplane.serving.bodies.json import parsed

# Longer feedback would not fit into the request log.
MOST_BYTES: Final = 4 * 2**20
PATHS: Final = frozenset({"/api/v1.0/feedback", "/api/v0.1/feedback", "/send-feedback"})
_SIDES: Final = ("request", "response", "truth")
_PAYLOADS: Final = ("data", "jsonData", "strData", "binData")
_REMEDY: Final = 'Send {"response": the reply, "reward": a number, "truth": {"data": {"ndarray": [[...]]}}}.'


@dataclass(frozen=True)
class Feedback:
    """Feedback on an answer. `answered` is the version that gave the answer, if known; `truth` is the payload's
    value."""

    puid: str
    reward: float | None
    truth: Any
    answered: str | None


def read_feedback(body: bytes | bytearray, model: str) -> Feedback:
    """Reads feedback in JSON. Raises a RequestError that names the field."""
    return feedback_of(parsed(body), model)


def feedback_of(message: Any, model: str) -> Feedback:
    """Reads feedback in its REST form. Raises a RequestError that names the field."""
    if not isinstance(message, dict):
        raise RequestError("read feedback", got=shown(message), expected="an object", remedy=_REMEDY)
    if unknown := [key for key in message if key not in (*_SIDES, "reward")]:
        expected = f"one of {', '.join((*_SIDES, 'reward'))}"
        raise RequestError("read feedback", got=f"key {shown(unknown[0])}", expected=expected, remedy=_REMEDY)
    metas = [_meta(message, side) for side in ("response", "request")]
    return Feedback(
        puid=_puid(metas),
        reward=_reward(message.get("reward")),
        truth=_truth(_part(message, "truth", "truth")),
        answered=next((version for meta in metas if (version := _path(meta).get(model))), None),
    )


def reply(feedback: Feedback, model: str, version: str) -> dict[str, Any]:
    return {"meta": {"puid": feedback.puid, "requestPath": {model: feedback.answered or version}}}


def _meta(message: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    meta = _part(_part(message, side, side), "meta", f"{side}.meta")
    if not isinstance(meta.get("puid"), str | None):
        raise RequestError(f"read {side}.meta.puid of the feedback", got=shown(meta["puid"]), expected="a string")
    path = _part(meta, "requestPath", f"{side}.meta.requestPath")
    if not all(isinstance(version, str) for version in path.values()):
        expected = "an object of strings"
        raise RequestError(f"read {side}.meta.requestPath of the feedback", got=shown(path), expected=expected)
    return meta


def _part(message: Mapping[str, Any], name: str, which: str) -> Mapping[str, Any]:
    """An object in the message; empty for null."""
    part = message.get(name)
    if part is not None and not isinstance(part, dict):
        raise RequestError(f"read {which} of the feedback", got=shown(part), expected="an object")
    return part or {}


def _path(meta: Mapping[str, Any]) -> Mapping[str, str]:
    return meta.get("requestPath") or {}


def _puid(metas: list[Mapping[str, Any]]) -> str:
    given = [meta["puid"] for meta in metas if meta.get("puid")]
    if not given:
        expected = "the puid of the reply"
        raise RequestError("read response.meta.puid of the feedback", got="nothing", expected=expected)
    return str(given[0])


def _reward(reward: object) -> float | None:
    if reward is None:
        return None
    fits = isinstance(reward, int | float) and not isinstance(reward, bool) and abs(reward) <= LARGEST_NUMBER
    if not fits:
        raise RequestError("read reward of the feedback", got=shown(reward), expected="a number")
    return float(reward)  # type: ignore[arg-type]


def _check_depth(held: object) -> None:
    try:
        orjson.dumps(held)
    except orjson.JSONEncodeError as error:  # it could not be written again
        raise RequestError("read truth of the feedback", got=error, remedy="Nest it less deeply.") from error


def _truth(truth: Mapping[str, Any]) -> Any:
    """The rows of an ndarray or tensor, or the value of another payload; None without a payload."""
    payloads = [key for key in truth if key != "meta"]
    if not payloads:
        return None
    if len(payloads) > 1 or payloads[0] not in _PAYLOADS:
        got, expected = f"keys {shown(payloads)}", f"one of {', '.join(_PAYLOADS)}"
        raise RequestError("read truth of the feedback", got=got, expected=expected)
    held = truth[payloads[0]]
    _check_depth(held)
    if payloads[0] != "data":
        return held
    tensor = held.get("tensor") if isinstance(held, dict) else None
    rows = _rows(tensor) if isinstance(tensor, dict) else held.get("ndarray") if isinstance(held, dict) else None
    if not isinstance(rows, list):
        expected = "an object with ndarray or tensor"
        raise RequestError("read truth.data of the feedback", got=shown(held), expected=expected)
    return rows


def _rows(tensor: Mapping[str, Any]) -> Any:
    """The rows of a tensor: a list per row if there are several columns. Without a shape there is one column."""
    values, shape = tensor.get("values"), tensor.get("shape")
    if shape is None or not isinstance(values, list):
        return values
    sizes = isinstance(shape, list) and 1 <= len(shape) <= 2 and all(type(size) is int and size > 0 for size in shape)
    if not sizes or math.prod(shape) != len(values):
        expected = f"[rows] or [rows, columns] of {len(values)} values"
        raise RequestError("read truth.data.tensor.shape of the feedback", got=shown(shape), expected=expected)
    width = 1 if len(shape) == 1 else shape[1]
    return values if width == 1 else [values[start : start + width] for start in range(0, len(values), width)]
