"""Seldon's protobuf messages in their REST form. NaN stays a number, though JSON has none.

protobuf's own `MessageToDict` turns NaN into a string or, in newer releases and outside tensors, raises ValueError. No
protobuf class is imported, because a message uses the classes of the server that received it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, MutableSequence
from typing import Any, Final

_VALUE: Final = "google.protobuf.Value"
_STRUCT: Final = "google.protobuf.Struct"
_LIST: Final = "google.protobuf.ListValue"


def as_json(message: Any) -> Any:
    """The message's set fields."""
    kind = message.DESCRIPTOR.full_name
    if kind == _VALUE:
        return plain(message)
    if kind == _LIST:
        return [plain(value) for value in message.values]
    if kind == _STRUCT:
        return {name: plain(value) for name, value in message.fields.items()}
    return {field.json_name: _held(value) for field, value in message.ListFields()}


def plain(value: Any) -> Any:
    """A google.protobuf.Value as a JSON value."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [plain(element) for element in value.list_value.values]
    if kind == "struct_value":
        return {name: plain(member) for name, member in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


def shortest(number: float) -> float:
    """The shortest decimal number with the same float32, so that 0.9 does not become 0.89999998."""
    import numpy as np

    return float(str(np.float32(number)))


def _held(value: Any) -> Any:
    if hasattr(value, "DESCRIPTOR"):
        return as_json(value)
    if isinstance(value, Mapping):
        return {name: _held(member) for name, member in value.items()}
    if isinstance(value, MutableSequence):
        # A tensor has many numbers, so they are not converted one by one.
        return [_held(element) for element in value] if hasattr(value[0], "DESCRIPTOR") else list(value)
    return b64encode(value).decode() if isinstance(value, bytes) else value
