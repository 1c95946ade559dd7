"""Checks objects as the API server does: by the structural schema of their CRD, with unknown fields apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

META: Schema = {
    "type": "object",
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "creationTimestamp": {"type": "string", "nullable": True},
        "deletionGracePeriodSeconds": {"type": "integer"},
        "deletionTimestamp": {"type": "string", "nullable": True},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "generateName": {"type": "string"},
        "generation": {"type": "integer"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "managedFields": {"x-kubernetes-preserve-unknown-fields": True},
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "ownerReferences": {"x-kubernetes-preserve-unknown-fields": True},
        "resourceVersion": {"type": "string"},
        "selfLink": {"type": "string"},
        "uid": {"type": "string"},
    },
}
_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def whole(schema: Schema) -> Schema:
    """Returns the schema with every object's metadata."""
    return {**schema, "properties": {**schema["properties"], "metadata": META}}


def unknown(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of the fields that are not in the schema."""
    for place, inner, part in _parts(schema, value, path):
        if inner is None:
            yield place
        else:
            yield from unknown(inner, part, place)


def pruned(schema: Schema, value: Any) -> Any:
    """Returns the object without unknown fields."""
    if isinstance(value, list):
        return [pruned(schema.get("items", {}), part) for part in value]
    if isinstance(value, dict):
        kept = {name: (_of(schema, name), part) for name, part in value.items()}
        return {name: pruned(inner, part) for name, (inner, part) in kept.items() if inner is not None}
    return value


def mistakes(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """Yields one sentence for each mistake, in the API server's words."""
    if value is None and schema.get("nullable"):
        return
    if wrong := _mistyped(schema, value):
        yield f'{path}: Invalid value: "{_name(value)}": {path} in body must be of type {wrong}: "{_name(value)}"'
        return
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        yield from (f"{path}.{name}: Required value".lstrip(".") for name in missing)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: Invalid value: {value!r}: {path} in body should match '{schema['pattern']}'"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: Unsupported value: {value!r}: supported values: {schema['enum']}"
    for place, inner, part in _parts(schema, value, path):
        if inner is not None:
            yield from mistakes(inner, part, place)


def _parts(schema: Schema, value: Any, path: str) -> Iterator[tuple[str, Schema | None, Any]]:
    if isinstance(value, list):
        yield from ((f"{path}[{number}]", schema.get("items", {}), part) for number, part in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"{path}.{name}".lstrip("."), _of(schema, name), part) for name, part in value.items())


def _of(schema: Schema, name: str) -> Schema | None:
    """Returns the field's schema, or None for an unknown field."""
    if name in schema.get("properties", {}):
        return dict(schema["properties"][name])
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return more
    anything = more is True or schema.get("x-kubernetes-preserve-unknown-fields") or "type" not in schema
    return {} if anything else None


def _mistyped(schema: Schema, value: Any) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "" if type(value) in (int, str) else "integer,string"
    wanted = schema.get("type")
    if wanted is None:
        return ""
    fits = isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    return "" if fits else wanted


def _name(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(value), "null")
