from __future__ import annotations

import re
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sailplane.bundles.columns import plain_records, read
from sailplane.errors import RequestError
from sailplane.predictions.rows import refusals
from sailplane.records import Field

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.just(3.4e38) | st.just(3.5e38)
COLUMNS = st.sampled_from(
    [("number", "number"), ("number", "integer"), ("integer", "integer"), ("integer", "number"), ("string", "string")]
)


def column(kind: str, values: list[Any]) -> pd.Series[Any]:
    dtypes = {"number": "float64", "integer": "Int64", "string": "str"}
    return pd.Series(values, dtype=dtypes[kind])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(COLUMNS, st.booleans(), st.data())
def test_a_row_is_refused_exactly_if_the_model_server_would_refuse_it(
    kinds: tuple[str, str], nullable: bool, data: st.DataObject
) -> None:
    wanted, held = kinds
    each: Any = {
        "number": NUMBERS,
        "integer": st.none() | st.integers(-(2**63), 2**63 - 1),
        "string": st.none() | st.text(max_size=3),
    }[held]
    values = data.draw(st.lists(each, min_size=1, max_size=6))
    inputs = [Field(name="x", kind=wanted, nullable=nullable)]  # type: ignore[arg-type]
    frame = pd.DataFrame({"x": column(held, values)})
    requests = plain_records(frame, [Field(name="x", kind=held, nullable=True)])  # type: ignore[arg-type]
    found = refusals(frame, inputs)
    assert found == {row: reason for row, reason in enumerate(map(served, requests, repeat(inputs))) if reason}


def served(request: dict[str, Any], inputs: list[Field]) -> str:
    """Returns the reason of the model server's refusal up to the field, the value and the expected values."""
    try:
        read({"x": [request["x"]]}, inputs)
    except RequestError as error:
        return re.sub(r"^read (field 'x') of row 0", r"\1", str(error)).removesuffix(".")
    return ""


def test_a_row_has_all_of_its_reasons() -> None:
    inputs = [Field(name="a", kind="number"), Field(name="b", kind="string")]
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": column("string", ["x", None])})
    expected = "field 'a': null; expected a number between -3.4e38 and 3.4e38. field 'b': null; expected a string"
    assert refusals(frame, inputs) == {1: expected}


@pytest.mark.parametrize("value", [0.5, 2.0**63, -(2.0**64)])
def test_a_number_that_is_no_whole_one_is_refused_as_an_integer(value: float) -> None:
    found = refusals(pd.DataFrame({"x": [1.0, value]}), [Field(name="x", kind="integer")])
    assert list(found) == [1]
    assert "expected a whole number of at most 64 bits" in found[1]
