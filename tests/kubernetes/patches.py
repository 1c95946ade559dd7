"""The four kinds of patches: RFC 7386, RFC 6902, strategic merges for Kubernetes' own kinds, and server-side apply."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.kubernetes.refusals import Refused

Object = dict[str, Any]
Path = tuple[str, ...]

# The field that identifies an element, for lists that are maps.
KEYS = {
    "containers": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


def merged(found: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(found) if isinstance(found, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def strategic(found: Any, patch: Any, field: str = "") -> Any:
    if isinstance(patch, list) and field in KEYS:
        return _by_key(found or [], patch, KEYS[field])
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    result = dict(found) if isinstance(found, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif not name.startswith("$"):
            result[name] = strategic(result.get(name), value, name)
    return result


def _by_key(found: list[Object], patch: list[Object], key: str) -> list[Object]:
    result = {one[key]: one for one in found}
    for one in patch:
        if one.get("$patch") == "delete":
            result.pop(one[key], None)
        else:
            result[one[key]] = strategic(result.get(one[key]), one)
    return list(result.values())


def json_patched(found: Object, operations: list[Object]) -> Object:
    """Applies a JSON patch. Raises Refused for an impossible operation or a failed `test`."""
    result = copy.deepcopy(found)
    for operation in operations:
        verb, path = operation["op"], operation["path"]
        try:
            if verb in ("move", "copy"):
                value = _at(result, operation["from"])
                if verb == "move":
                    _set("remove", result, operation["from"], None)
                _set("add", result, path, copy.deepcopy(value))
            elif verb == "test":
                if _at(result, path) != operation["value"]:
                    raise Refused(422, f"the server rejected our request: testing path {path} failed")
            else:
                _set(verb, result, path, operation.get("value"))
        except (KeyError, IndexError, ValueError) as error:
            raise Refused(422, f"the server rejected our request: {verb} {path}: {error!r}") from error
    return result


def _steps(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _at(value: Any, path: str) -> Any:
    for step in _steps(path):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _set(verb: str, value: Any, path: str, new: Any) -> None:
    *way, last = _steps(path)
    parent = _at(value, "".join(f"/{step}" for step in way))
    if isinstance(parent, list):
        place = len(parent) if last == "-" else int(last)
        parent[place : place + (verb != "add")] = [] if verb == "remove" else [new]
    elif verb == "remove":
        del parent[last]
    else:
        parent[last] = new


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields the fields that a manager owns: every field that is not an object. A list is one field, as in the
    CRDs."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for name, part in value.items():
        yield from leaves(part, (*path, name))


def without(value: Object, path: Path) -> Object:
    first, *rest = path
    if first not in value:
        return value
    if not rest or not isinstance(value[first], dict):
        return {name: part for name, part in value.items() if name != first}
    inner = without(value[first], tuple(rest))
    return {**value, first: inner} if inner else {name: part for name, part in value.items() if name != first}


def fields(paths: set[Path]) -> Object:
    """Returns the fields in the form of `fieldsV1`."""
    result: Object = {}
    for path in sorted(paths):
        inner = result
        for step in path:
            inner = inner.setdefault(f"f:{step}", {})
    return result
