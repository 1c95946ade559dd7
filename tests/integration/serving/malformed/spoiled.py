"""Requests that start from a valid request, and the ways to spoil it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.integration.serving.malformed.verdict import PREDICTIONS, Target, reason_of, rows_of
from tests.unit.bundles import tiny
from tests.unit.serving.open_inference.test_binary import packed
from tests.unit.serving.open_inference.test_messages import INFER, request

Place = tuple[str | int, ...]
FEEDBACK = "/api/v1.0/feedback"
NAMES = [field.name for field in tiny.INPUTS]
OTHER = {**tiny.RECORD, "distance": 200, "carrier": "AA", "weekend": True}
ROWS = [list(record.values()) for record in (tiny.RECORD, OTHER)]
META = {"puid": "1", "tags": {"a": [1, None]}, "requestPath": {"x": "y"}}
ASKED = {"id": "7", "outputs": [{"name": "probability", "parameters": {"binary_data": False}}], "parameters": {"a": 1}}
GOOD: list[tuple[str, dict[str, Any]]] = [
    (PREDICTIONS, {"data": {"names": NAMES, "ndarray": ROWS}, "meta": META}),
    (PREDICTIONS, {"data": {"names": NAMES, "tensor": {"shape": [2, 6], "values": ROWS[0] + ROWS[1]}}}),
    (PREDICTIONS, {"jsonData": [tiny.RECORD, OTHER]}),
    ("/predict", {"jsonData": tiny.RECORD, "meta": META}),
    (INFER, {**request([tiny.RECORD]), **ASKED}),
    (INFER, request([tiny.RECORD, OTHER])),
    (FEEDBACK, {"response": {"meta": META}, "reward": 1, "truth": {"data": {"ndarray": [[1]]}}}),
]
# Literals that Python's encoder does not write. A string marks their place until the message is written.
LITERALS = {
    "@NaN": "NaN",
    "@Infinity": "-Infinity",
    "@1e400": "1e400",
    "@hex": "0x1F",
    "@zero": "007",
    "@digits": "9" * 5000,
    "@surrogate": '"\\ud800"',
    "@control": '"\x00"',
    "@deep": "[" * 2000 + "]" * 2000,
}
# Valid JSON of the greatest depth that is read.
DEEP = "@nested"
WRONG = [None, True, 0, -1, 1.5, 2**63, -(2**63) - 1, 10**30, 1e308, "", "x", "12", "é\u0000", "x" * 5000]
WRONG += [[], {}, [[]], [None], [1, 2], {"a": 1}, "9999-99-99", "0001-01-01T00:00:00+23:59", DEEP, *LITERALS]
ACTS = ["another value"] * 4 + ["nothing there", "another name", "twice", "one more"]


@dataclass(frozen=True)
class Malformed:
    """A request. The reason of its refusal has one of `named`. `rows` is the number of rows in the reply if the request
    is valid nevertheless."""

    path: str
    body: bytes
    named: tuple[str, ...] = ()
    rows: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"


@st.composite
def spoiled(draw: st.DrawFn) -> Malformed:
    """Draws a valid message in which one value, at any depth, is spoiled."""
    path, message = draw(st.sampled_from(GOOD))
    place = draw(st.sampled_from(list(places(message))))
    act, value = draw(st.sampled_from(ACTS)), draw(st.sampled_from(WRONG))
    changed = spoil(copy.deepcopy(message), place, act, value)
    body = written(changed)
    invalid = any(literal in body for literal in map(str.encode, LITERALS.values()))
    named = ("JSON",) if invalid else names_of(place, act)
    return Malformed(path, body, named, rows_asked(changed))


def written(message: Any) -> bytes:
    text = json.dumps(message, ensure_ascii=False)
    for mark, literal in {**LITERALS, DEEP: "[" * 1000 + "]" * 1000}.items():
        text = text.replace(json.dumps(mark), literal)
    return text.encode()


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*place, key))


def spoil(message: Any, place: Place, act: str, value: Any) -> Any:
    """Changes and returns the message, or returns its replacement."""
    if not place:
        return {**message, "more": value} if act == "one more" else value
    parent = message
    for key in place[:-1]:
        parent = parent[key]
    key, here = place[-1], parent[place[-1]]
    if act == "one more" and isinstance(here, dict):
        here["more"] = value
    elif act == "one more" and isinstance(here, list):
        here.append(value)
    elif act == "twice" and isinstance(parent, list):
        parent.insert(key, here)
    elif act == "nothing there":
        del parent[key]
    elif act == "another name" and isinstance(parent, dict):
        parent[f"{key}_"] = parent.pop(key)
    else:
        parent[key] = value
    return message


def names_of(place: Place, act: str) -> tuple[str, ...]:
    """Returns the names of which the reason mentions one. A wrong value is reported by its field, other errors by the
    field or by a key on the path to it."""
    field = field_of(place)
    if field and act == "another value" and place[0] in ("data", "jsonData") and place[1] != "names":
        return (field,)
    keys = tuple(key for key in place if isinstance(key, str))
    return (*([field] if field else []), *keys, "more") if place else ()


def field_of(place: Place) -> str | None:
    match place:
        case ("data", "ndarray", _, int(column)) | ("data", "names", int(column)) | ("inputs", int(column), *_):
            return NAMES[column]
        case ("data", "tensor", "values", int(number)):
            return NAMES[number % len(NAMES)]
        case ("jsonData", *_, str(name)):
            return name
    return None


def rows_asked(message: Any) -> int | None:
    match message:
        case {"data": {"ndarray": list(rows)}} | {"jsonData": list(rows)}:
            return len(rows)
        case {"data": {"tensor": {"shape": [int(rows), _]}}} | {"inputs": [{"shape": [int(rows), *_]}, *_]}:
            return rows
        case {"jsonData": _}:
            return 1
    return None


SIZES = [-1, 0, 1, 7, 10**30, 2**31, 1.5, "8", True, [], {}, None]
LENGTHS = ["", "-1", "+5", "0", "7", "1.5", "1e3", "0x10", "many", "5 5", "999999", "9" * 5000, "\xb2"]


@st.composite
def spoiled_binary(draw: st.DrawFn) -> Malformed:
    """Draws a request with raw binary tensors in which one thing is spoiled."""
    message, raw = packed(request([tiny.RECORD, OTHER]))
    tensor = draw(st.sampled_from(message["inputs"]))
    act = draw(st.sampled_from(["size", "cut", "tail", "prefix", "length", "data", "datatype", "shape", "bytes"]))
    named: tuple[str, ...] = (tensor["name"], "binary data")
    if act == "size":
        tensor["parameters"]["binary_data_size"] = draw(st.sampled_from(SIZES))
    elif act == "data":
        tensor["data"] = [1, 2]
    elif act == "datatype":
        tensor["datatype"] = draw(st.sampled_from(["FP7", "", None, 5, [], "BYTES", "BOOL", "UINT8"]))
    elif act == "shape":
        tensor["shape"] = draw(st.sampled_from([[3], [0], [-2], [2, 2], [10**18], [2.0], "2", None, [], [[2]]]))
    elif act == "cut":
        raw = raw[: -draw(st.integers(1, len(raw)))]
    elif act == "tail":
        raw += draw(st.binary(min_size=1, max_size=40))
    elif act == "prefix":  # Only this string is surely one of the two carriers.
        raw = raw.replace(b"\x02\0\0\0UA", draw(st.binary(min_size=4, max_size=4)) + b"UA")
        named = ("carrier", "scheduled", "binary data")
    elif act == "bytes":
        raw, named = b"\xff" * len(raw), (*NAMES, "binary data")
    head = json.dumps(message).encode()
    length = draw(st.sampled_from(LENGTHS)) if act == "length" else str(len(head))
    headers = (("Inference-Header-Content-Length", length),)
    if act == "length":
        named = ("Inference-Header-Content-Length", "JSON")
    return Malformed(INFER, head + raw, named, 2, headers)


def tried(target: Target, request: Malformed) -> bool:
    """Whether the request was refused; otherwise it is valid nevertheless."""
    with closing(target.connect()) as connection:
        connection.request(request.method, target.path(request.path), request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
        if response.status == 200:
            assert rows_of(response, body) == request.rows, request
        else:
            assert response.headers["content-type"] == "application/json"
            reason_of(response.status, body, request.named)
        if not response.will_close:
            target.answers(connection)
    target.answers()
    return response.status != 200
