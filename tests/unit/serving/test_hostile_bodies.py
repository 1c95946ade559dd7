"""Bodies that are made to cost far more memory or time than their size. They are refused, or read within bounds."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane.errors import RequestError
from sailplane.serving.bodies import json_pieces
from sailplane.serving.bodies.json_pieces import LONGEST, elements
from sailplane.serving.open_inference import parts as open_inference_parts
from sailplane.serving.seldon import parts as seldon_parts
from tests.unit.bundles import tiny
from tests.unit.serving.open_inference.test_messages import request

MOST = 256
KEYS = b",".join(b'"%d":1' % number for number in range(100_000))
MANY = b",".join([b'{"name":"distance"}'] * 50_000)
NAMELESS = b",".join([b"{}"] * 300_000)
TWICE = b",".join([b'"data":0'] * 100_000)
DESCRIBED = [{"name": field.name, "parameters": {"a": "x" * (LONGEST // 4)}} for field in tiny.INPUTS]
HOSTILE = {
    "keys": (seldon_parts, b"{%s}" % KEYS, "unknown field `0`; expected either data or jsonData"),
    "keys of data": (seldon_parts, b'{"data":{%s}}' % KEYS, "unknown field `0`; expected an object with ndarray"),
    "keys beside rows": (seldon_parts, b'{"data":{"ndarray":[],%s}}' % KEYS, "read data: an empty list"),
    "keys of a tensor": (seldon_parts, b'{"data":{"tensor":{%s}}}' % KEYS, "read data.tensor.shape: null"),
    "one long key": (seldon_parts, b'{"%s":1}' % (b"x" * (LONGEST // 4)), "unknown field `xxx"),
    "keys twice": (seldon_parts, b"{%s}" % TWICE, "read data: a number"),
    "keys of a tensor request": (open_inference_parts, b"{%s}" % KEYS, "read inputs: null"),
    "inputs": (open_inference_parts, b'{"inputs":[%s]}' % MANY, "at least 13 of them; expected at most 6"),
    "inputs without names": (open_inference_parts, b'{"inputs":[%s]}' % NAMELESS, "missing required field `name`"),
    "descriptions": (open_inference_parts, json.dumps({"inputs": DESCRIBED}).encode(), "besides the data"),
}


def refused(work: Callable[[], object]) -> tuple[str, int]:
    """Returns the reason, and the most additional bytes that Python held."""
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as error:
            work()
        return str(error.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read(module: Any, body: bytes) -> list[dict[str, list[Any]]]:
    return [part.columns for part in module.split(body, {}, tiny.INPUTS, MOST)[1]]


@pytest.mark.parametrize("how", HOSTILE)
def test_many_keys_or_inputs_take_no_memory_of_their_own(how: str) -> None:
    module, body, said = HOSTILE[how]
    reason, held = refused(lambda: read(module, body))
    assert said in reason
    assert len(reason) < 400
    assert held < LONGEST


def test_an_input_too_many_is_named() -> None:
    message = request([tiny.RECORD])
    message["inputs"].append({**message["inputs"][0], "name": "typo"})
    with pytest.raises(RequestError, match="'typo' is unknown"):
        read(open_inference_parts, json.dumps(message).encode())


def test_long_elements_are_not_read_again_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    text, offered = memoryview(json.dumps([["x" * 70_000, 1]] * 120).encode()), list[int]()
    repeated = json_pieces._repeated

    def counted(element: bytes, most: int) -> Any:
        def match(within: memoryview, offset: int, limit: int) -> re.Match[bytes] | None:
            offered.append(min(limit, len(within)) - offset)
            return repeated(element, most).match(within, offset, limit)

        return SimpleNamespace(match=match)

    monkeypatch.setattr(json_pieces, "_repeated", counted)
    assert sum(map(len, elements(text, MOST, "rows"))) == 120
    assert sum(offered) < 2 * len(text)


@pytest.mark.parametrize("size", [LONGEST // 2 - 2, LONGEST // 2 - 1, LONGEST // 2, LONGEST - 3, LONGEST - 2])
@pytest.mark.parametrize("last", [b"12345", b'"a,b"', b'[1,"]"]', b'{"a":"],"}'])
def test_elements_are_whole_wherever_a_piece_ends(size: int, last: bytes) -> None:
    values = [b'"%s"' % (b"x" * (size - 2)), last, b"null", b'"%s"' % (b"y" * (size - 2)), last]
    found = list(elements(memoryview(b"[%s]" % b",".join(values)), MOST, "rows"))
    assert [one for piece in found for one in piece] == json.loads(b"[%s]" % b",".join(values))


def test_an_element_that_no_piece_can_hold_is_a_413() -> None:
    with pytest.raises(RequestError, match=f"number 1: {LONGEST + 3} bytes") as error:
        list(elements(memoryview(b'[1,"%s",2]' % (b"x" * LONGEST)), MOST, "rows"))
    assert error.value.status == 413
