"""The Open Inference Protocol (v2) over REST: each raw input field is a tensor with the field's name.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sailplane import __version__
from sailplane.bundles.columns import check_names, shown
from sailplane.bundles.manifest import Manifest
from sailplane.errors import RequestError
from sailplane.records import Field, FieldKind
from sailplane.serving.bodies.json import Headers, no_check, numbers, parsed, written
from sailplane.serving.open_inference import binary
from sailplane.serving.violations import Violations, described

if TYPE_CHECKING:
    import numpy as np


OUTPUT = "probability"
_REMEDY = 'Send {"inputs": [{"name": ..., "shape": [rows], "datatype": ..., "data": [...]}, ...]}.'
_INTEGERS = tuple(f"{sign}INT{bits}" for bits in (64, 32, 16, 8) for sign in ("", "U"))

# The metadata names the first one.
DATATYPES: dict[FieldKind, tuple[str, ...]] = {
    "number": ("FP64", "FP32", "FP16", *_INTEGERS),
    "integer": (*_INTEGERS, "FP64", "FP32"),
    "string": ("BYTES",),
    "boolean": ("BOOL",),
    "timestamp": ("BYTES",),
}

# The extra datatypes of a nullable boolean.
_FLAGS: Final = ("FP64", "FP32")
_BOOLEANS: Final[Mapping[float, bool]] = {0.0: False, 1.0: True}


def message(body: bytes, headers: Mapping[bytes, bytes]) -> Any:
    length = headers.get(binary.LENGTH)
    if length is None:
        return parsed(body)
    head, raw = binary.split(body, length)
    return binary.filled(parsed(head), raw)


def identity(message: object) -> str | None:
    """The message's id, even if the rest is invalid."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) else None


def most_inputs(inputs: Sequence[Field]) -> int:
    """The most inputs that are read. If there are only a few too many, the error names them."""
    return 2 * len(inputs)


def check_count(count: int, inputs: Sequence[Field]) -> None:
    """Raises RequestError for too many inputs, before each of them costs time and memory."""
    if count > most_inputs(inputs):
        got = f"at least {most_inputs(inputs) + 1} of them"
        raise RequestError("read inputs", got=got, expected=f"at most {len(inputs)}, one for each field")


def flat(data: list[Any]) -> list[Any]:
    """The data without nesting. The specification allows it flat or nested like the shape."""
    return [item for row in data for item in (row if isinstance(row, list) else [row])]


def columns(message: object, inputs: Sequence[Field]) -> dict[str, list[object]]:
    """The request's rows, by the fields in it."""
    tensors = message.get("inputs") if isinstance(message, Mapping) else None
    if not isinstance(tensors, list) or not all(isinstance(t, Mapping) for t in tensors):
        raise RequestError("read inputs", got=shown(tensors), expected="a list of objects", remedy=_REMEDY)
    names = [tensor.get("name") for tensor in tensors]
    if nameless := [index for index, name in enumerate(names) if not isinstance(name, str)]:
        raise RequestError("read inputs", got=f"number {nameless[0]} without a name", remedy=_REMEDY)
    check_names(names, inputs, "inputs")
    _check_rest(message)
    if not tensors:
        raise RequestError("read inputs", got="none", expected="at least one, to give the number of rows")
    given = {tensor["name"]: tensor for tensor in tensors}
    fields = [field for field in inputs if field.name in given]
    for field in fields:
        _check_datatype(given[field.name], field)
    read = {field.name: _with_nulls(_values(given[field.name]), given[field.name], field) for field in fields}
    first = fields[0].name
    rows = len(read[first])
    for name, values in read.items():
        if len(values) != rows:
            raise RequestError("read input", repr(name), got=f"{len(values)} rows", expected=f"{rows}, like {first!r}")
    return read


def reply(
    message: Mapping[str, Any],
    manifest: Manifest,
    version: str,
    scores: np.ndarray,
    _identity: str = "",
    violations: Violations | None = None,
    check: Callable[[], None] = no_check,
) -> tuple[bytes, Headers]:
    """The body, with an id if the request has one, and its headers. `check` may raise to stop."""
    answered = answer(message, manifest, version, scores, violations)
    if binary.wanted(message):
        return binary.joined(answered, scores)
    answered["outputs"][0]["data"] = numbers(scores.reshape(-1), check)
    return written(answered), ()


def answer(
    message: Mapping[str, Any],
    manifest: Manifest,
    version: str,
    scores: np.ndarray,
    violations: Violations | None = None,
) -> dict[str, Any]:
    """`scores` is float32 [n, len(outputs)]; the data is flat, row by row. A parameter must not be a list, so
    violations are JSON in a string."""
    flagged = {
        name: json.dumps(value) if name == "violations" else value for name, value in described(violations).items()
    }
    answered = {
        "model_name": manifest.model,
        "model_version": version,
        "outputs": [{"name": OUTPUT, "shape": scores.shape, "datatype": "FP32", "data": scores.reshape(-1)}],
        "parameters": {"outputs": ",".join(manifest.outputs), **flagged},
    }
    return answered | ({"id": message["id"]} if message.get("id") is not None else {})


def server() -> dict[str, Any]:
    return {"name": "sailplane", "version": __version__, "extensions": ["binary_tensor_data"]}


def metadata(manifest: Manifest, version: str) -> dict[str, Any]:
    inputs = [{"name": f.name, "datatype": DATATYPES[f.kind][0], "shape": [-1]} for f in manifest.inputs]
    outputs = [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(manifest.outputs)]}]
    return {
        "name": manifest.model,
        "versions": [version],
        "platform": "sailplane",
        "inputs": inputs,
        "outputs": outputs,
    }


def _values(tensor: Mapping[str, Any]) -> list[object]:
    which, shape, data = f"input {tensor['name']!r}", tensor.get("shape"), tensor.get("data")
    sizes = shape if isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape) else []
    if not sizes or sizes[1:] not in ([], [1]):
        raise RequestError("read shape of", which, got=shown(shape), expected="[rows] or [rows, 1], rows positive")
    if not isinstance(data, list):
        raise RequestError("read data of", which, got=shown(data), expected="a list", remedy=_REMEDY)
    values = flat(data)
    if len(values) != sizes[0]:
        raise RequestError(
            "read data of", which, got=f"{len(values)} values", expected=f"{sizes[0]}, the rows of its shape"
        )
    return values


def _with_nulls(values: list[object], tensor: Mapping[Any, Any], field: Field) -> list[object]:
    """Converts nulls. The only null in tensors is NaN, which `columns.read` handles. So 1, 0 and NaN may stand for
    booleans. In binary data and gRPC, empty bytes are a null string or time, like an empty cell of a CSV file."""
    if not field.optional:
        return values
    if field.kind == "boolean" and tensor.get("datatype") in _FLAGS:
        return [_BOOLEANS.get(value, value) if isinstance(value, int | float) else value for value in values]
    if field.kind in ("string", "timestamp") and binary.FILLED in tensor:
        return [None if value == "" else value for value in values]
    return values


def datatypes(field: Field) -> tuple[str, ...]:
    return DATATYPES[field.kind] + (_FLAGS if field.kind == "boolean" and field.optional else ())


def _check_datatype(tensor: Mapping[str, Any], field: Field) -> None:
    if tensor.get("datatype") not in datatypes(field):
        expected = " or ".join(datatypes(field))
        got = shown(tensor.get("datatype"))
        raise RequestError("read datatype of", f"input {field.name!r}", got=got, expected=expected)


def _check_rest(message: Any) -> None:
    """Checks outputs, id and parameters. Some clients send null for members that they do not set."""
    outputs = message.get("outputs") if message.get("outputs") is not None else []
    known = isinstance(outputs, list) and all(isinstance(o, Mapping) and o.get("name") == OUTPUT for o in outputs)
    if not known or len(outputs) > 1:
        raise RequestError("read outputs", got=shown(outputs), expected=f"nothing, or the one output {OUTPUT!r}")
    if not isinstance(message.get("id"), str | None):
        raise RequestError("read id", got=shown(message["id"]), expected="a string")
    binary.parameters(message, "the request")
    for output in outputs:
        binary.parameters(output, f"output {OUTPUT!r}")
    for tensor in message["inputs"]:
        binary.parameters(tensor, f"input {tensor['name']!r}")
