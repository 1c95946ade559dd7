"""Seldon's prediction protocol (Core v1): messages in, messages out. Raises RequestError with the field and the remedy.

https://docs.seldon.ai/seldon-core-1/development-and-reference/apis/external-prediction
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sailplane.bundles.columns import check_names, columns_of, listed, shown
from sailplane.bundles.manifest import Manifest
from sailplane.errors import RequestError
from sailplane.records import Field
from sailplane.serving.bodies.json import Headers, no_check, numbers, parsed, written
from sailplane.serving.violations import Violations, described

if TYPE_CHECKING:
    import numpy as np


PREDICTIONS = frozenset({"/api/v1.0/predictions", "/api/v0.1/predictions", "/predict"})
_REMEDY = 'Send {"data": {"names": [...], "ndarray": [[...]]}} or {"jsonData": {field: value}}.'


def message(body: bytes, _headers: Mapping[bytes, bytes]) -> Any:
    return parsed(body)


def identity(message: object) -> str | None:
    """The message's puid, even if the rest is invalid."""
    meta = message.get("meta") if isinstance(message, dict) else None
    puid = meta.get("puid") if isinstance(meta, dict) else None
    return puid if isinstance(puid, str) else None


def columns(message: object, inputs: Sequence[Field], first: int = 0) -> dict[str, list[object]]:
    """The request's rows, by field. `first`: the number of its first row, for errors."""
    if not isinstance(message, Mapping):
        raise RequestError("read request", got=_kind(message), expected="an object", remedy=_REMEDY)
    payloads = [key for key in message if key != "meta"]
    if len(payloads) != 1 or payloads[0] not in {"data", "jsonData"}:
        got = f"keys {shown(payloads)}" if payloads else "no data"
        raise RequestError("read request", got=got, expected="either data or jsonData", remedy=_REMEDY)
    _check_meta(message.get("meta", {}))
    if "jsonData" in message:
        records = message["jsonData"]
        return columns_of(records if isinstance(records, list) else [records], inputs, "jsonData", first)
    return _data(message["data"], inputs, first)


def reply(
    message: Mapping[str, Any],
    manifest: Manifest,
    version: str,
    scores: np.ndarray,
    puid: str,
    violations: Violations | None = None,
    check: Callable[[], None] = no_check,
) -> tuple[bytes, Headers]:
    """Answers a tensor with `tensor`, all else with `ndarray`; `scores` is float32 [n, len(outputs)]. `check` may raise
    to stop."""
    data = message.get("data") or {}
    if "tensor" in data:
        values: dict[str, Any] = {"tensor": {"shape": scores.shape, "values": numbers(scores.reshape(-1), check)}}
    else:
        values = {"ndarray": numbers(scores, check)}
    answered = meta(message, manifest, version, puid, violations)
    return written({"data": {"names": manifest.outputs, **values}, "meta": answered}), ()


def meta(
    message: Mapping[str, Any], manifest: Manifest, version: str, puid: str, violations: Violations | None = None
) -> dict[str, Any]:
    """The `meta` of the reply."""
    meta = message.get("meta") or {}
    return {
        "puid": puid,
        "requestPath": {**(meta.get("requestPath") or {}), manifest.model: version},
        "tags": {**(meta.get("tags") or {}), **described(violations)},
    }


def metadata(manifest: Manifest, version: str) -> dict[str, Any]:
    names, outputs = [field.name for field in manifest.inputs], manifest.outputs
    optional = [field.name for field in manifest.inputs if field.optional]
    may = {"optional": ", ".join(optional)} if optional else {}
    return {
        "name": manifest.model,
        "versions": [version],
        "platform": "sailplane",
        "inputs": [{"messagetype": "ndarray", "schema": {"names": names, "shape": [len(names)]}}],
        "outputs": [{"messagetype": "ndarray", "schema": {"names": outputs, "shape": [len(outputs)]}}],
        "custom": {
            "run": manifest.run,
            "dataset": manifest.dataset,
            "as_of": manifest.as_of.isoformat(),
            **may,
        },
    }


def health(manifest: Manifest, version: str) -> dict[str, Any]:
    return {"model": manifest.model, "version": version, "status": "ok"}


def failure(status: int, reason: str) -> dict[str, Any]:
    """A failure in both protocols: `status` is Seldon's, `error` the Open Inference Protocol's."""
    code = HTTPStatus(status).name
    return {"error": reason, "status": {"code": status, "info": reason, "reason": code, "status": "FAILURE"}}


def _data(data: object, inputs: Sequence[Field], first: int) -> dict[str, list[object]]:
    if not isinstance(data, Mapping) or len({"ndarray", "tensor"} & data.keys()) != 1:
        raise RequestError("read data", got=_kind(data), expected="an object with ndarray or tensor", remedy=_REMEDY)
    rows = data["ndarray"] if "ndarray" in data else _tensor(data["tensor"])
    if not isinstance(rows, list) or not rows:
        raise RequestError("read data", got=_kind(rows), expected="a list of at least one row", remedy=_REMEDY)
    names = _names(data.get("names"), inputs)
    for number, row in enumerate(rows, first):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row)} values" if isinstance(row, list) else _kind(row)
            expected = f"a list of {len(names)} values: {listed(names)}"
            raise RequestError("read data, row", number, got=got, expected=expected)
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def _names(names: object, inputs: Sequence[Field]) -> list[str]:
    if names is None or names == []:
        return [field.name for field in inputs]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError("read data.names", got=_kind(names), expected="a list of strings")
    check_names(names, inputs, "data.names")
    return names


def _tensor(tensor: object) -> list[list[object]]:
    shape = tensor.get("shape") if isinstance(tensor, Mapping) else None
    values = tensor.get("values") if isinstance(tensor, Mapping) else None
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and n > 0 for n in shape):
        raise RequestError("read data.tensor.shape", got=shown(shape), expected="[rows, fields], both positive")
    if not isinstance(values, list) or len(values) != math.prod(shape):
        got = f"{len(values)} values" if isinstance(values, list) else _kind(values)
        raise RequestError("read data.tensor.values", got=got, expected=f"{math.prod(shape)} values for its shape")
    return [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]


def _check_meta(meta: object) -> None:
    if not isinstance(meta, Mapping):
        raise RequestError("read meta", got=_kind(meta), expected="an object")
    if not isinstance(meta.get("puid", ""), str):
        raise RequestError("read meta.puid", got=_kind(meta["puid"]), expected="a string")
    if not isinstance(meta.get("tags", {}), Mapping):
        raise RequestError("read meta.tags", got=_kind(meta["tags"]), expected="an object")
    path = meta.get("requestPath", {})
    if not isinstance(path, Mapping) or not all(isinstance(image, str) for image in path.values()):
        raise RequestError("read meta.requestPath", got=_kind(path), expected="an object of strings")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    if isinstance(value, Mapping):
        return f"an object with {shown(sorted(value)[:8])}"
    return "an empty list" if value == [] else names.get(type(value), "nothing")
