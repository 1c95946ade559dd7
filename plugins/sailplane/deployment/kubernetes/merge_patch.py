"""The difference of two objects as a merge patch (RFC 7396). Values in, values out."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def changes(found: Object, wanted: Object) -> Object:
    """The patch from `found` to `wanted`. It applies only if nobody has written since `found` was read."""
    changed = _difference(found, wanted)
    version = found["metadata"]["resourceVersion"]
    return {**changed, "metadata": {**changed.get("metadata", {}), "resourceVersion": version}}


def _difference(found: Object, wanted: Object) -> Object:
    changed: Object = dict.fromkeys(found.keys() - wanted.keys())
    for name, value in wanted.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        if name not in found or found[name] != value:
            changed[name] = _difference(found[name], value) if both else value
    return changed
