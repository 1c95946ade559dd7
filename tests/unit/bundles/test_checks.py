"""A bundle's checks judge values as pandera does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.pandas import Check, Column, DataFrameSchema

from sailplane.bundles.checks import Checks
from sailplane.bundles.columns import read
from sailplane.datasets.schema import PANDAS, fields, unchecked
from sailplane.datasets.validation import check
from sailplane.errors import ModelError, SchemaError
from sailplane.records import Field, FieldKind
from tests.executed import lines

DTYPES: dict[FieldKind, Any] = {
    "number": float,
    "integer": "Int64",
    "string": str,
    "boolean": "boolean",
    "timestamp": pd.DatetimeTZDtype("us", "UTC"),
}
NUMBERS = st.floats(-3.4e38, 3.4e38) | st.sampled_from([0.0, -0.0, 1.0, 2.5, 2.0**53, 2.0**53 + 2])
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.integers(2**53 - 2, 2**53 + 2)
TEXTS = st.text("abAB0 1_é²\n\t٣", max_size=4)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)) | st.sampled_from([datetime(2020, 1, 1)])
ZONED = TIMES.map(lambda time: time.replace(tzinfo=UTC))
VALUES: dict[FieldKind, st.SearchStrategy[Any]] = {
    "number": NUMBERS,
    "integer": INTEGERS,
    "string": TEXTS,
    "boolean": st.booleans(),
    "timestamp": ZONED,
}
ZULU = ZONED.map(datetime.isoformat)
BOUNDS: dict[FieldKind, st.SearchStrategy[Any]] = {
    "number": NUMBERS | INTEGERS | INTEGERS.map(np.int64) | st.sampled_from([np.inf, -np.inf, np.float32(0.1)]),
    "integer": INTEGERS | NUMBERS | st.sampled_from([np.inf, -np.inf, 2**64]),
    "string": TEXTS,
    "boolean": st.booleans(),
    "timestamp": ZONED | ZONED.map(pd.Timestamp) | ZULU | st.sampled_from(["2020-01-01", "2020-01-01T02:00+02:00"]),
}
# Lists of values, which may hold nulls and values of other types.
MEMBERS = {kind: BOUNDS[kind] | st.sampled_from([None, np.nan]) for kind in BOUNDS}
PATTERNS = st.sampled_from(
    [
        *(
            "a",
            "^a",
            "a$",
            "^a|b",
            "a|b$",
            r"\d",
            r"\w+",
            r"\bA",
            r"\s",
            "[ab]{2}",
            "(?i)a",
            "(a)(b)?",
            ".",
            "",
            r"a\Z",
        ),
        *(r"a\Z", "(?=a)", r"(a)\1", "[^a]", r"\x0b|\n", "é"),
        *(re.compile("a", re.IGNORECASE), re.compile("^b", re.MULTILINE)),
    ]
)
COMPARISONS = ["eq", "ne", "gt", "ge", "lt", "le"]


@st.composite
def checks(draw: st.DrawFn, kind: FieldKind) -> Check:
    options = {"ignore_na": draw(st.booleans())}
    names = [*COMPARISONS, "in_range", "isin", "notin"]
    if kind == "string":
        names += ["str_matches", "str_contains", "str_startswith", "str_endswith", "str_length"]
    name = draw(st.sampled_from(names))
    if name == "in_range":
        low, high = draw(st.tuples(BOUNDS[kind], BOUNDS[kind]))
        try:
            flags = {side: draw(st.booleans()) for side in ("include_min", "include_max")}
            return Check.in_range(low, high, **flags, **options)
        except (ValueError, TypeError):  # An empty range, or a text with a time.
            name = "ge"
    if name in ("isin", "notin"):
        return getattr(Check, name)(draw(st.lists(MEMBERS[kind], max_size=4)), **options)
    if name in ("str_matches", "str_contains"):
        return getattr(Check, name)(draw(PATTERNS), **options)
    if name in ("str_startswith", "str_endswith"):
        return getattr(Check, name)(draw(TEXTS | st.tuples(TEXTS, TEXTS)), **options)
    if name == "str_length":
        sizes = [{"min_value": 1}, {"max_value": 2}, {"min_value": 1, "max_value": 2}, {"exact_value": 2}]
        return Check.str_length(**draw(st.sampled_from(sizes)), **options)
    return getattr(Check, name)(draw(BOUNDS[kind]), **options)


def asked(values: list[Any]) -> list[Any]:
    """Returns the values as a request has them."""
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def refused_rows(field: Field, values: list[Any]) -> set[int]:
    travelled = Field.from_dict(json.loads(json.dumps(field.to_dict(), allow_nan=False)))
    assert travelled == field
    return {found.row for found in Checks([travelled]).violations(read({"x": asked(values)}, [travelled]))}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This pattern is interpreted as a regular expression:UserWarning")
@pytest.mark.parametrize("kind", list(DTYPES))
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_check_of_pandera_that_travels_agrees_with_it_on_every_value(
    kind: FieldKind, data: st.DataObject
) -> None:
    nullable = data.draw(st.booleans())
    schema = DataFrameSchema({"x": Column(DTYPES[kind], data.draw(checks(kind)), nullable=nullable)})
    [field] = fields(schema)
    given_values = VALUES[kind] | st.none() if nullable else VALUES[kind]
    values = data.draw(st.lists(given_values, min_size=1, max_size=12))
    frame = pd.DataFrame({"x": pd.Series(values, dtype=PANDAS[kind][nullable])})
    try:
        expected = set(check(frame, schema, "x").bad.index)
    except SchemaError:  # A check that raises rejects every dataset, so no model has one.
        return
    if not field.checks:
        assert unchecked(schema), "what does not travel is told"
        return
    assert refused_rows(field, values) == expected


@pytest.mark.parametrize(
    ("column", "passes", "fails"),
    [
        (Column(float, Check.ge(0)), 0.0, -0.1),
        (Column(float, Check.in_range(0, 1, include_max=False)), 0.0, 1.0),
        (Column(int, Check.gt(0)), 1, 0),
        (Column(int, Check.isin([1, 2])), 2, 3),
        (Column(str, Check.notin(["x"])), "y", "x"),
        (Column(str, Check.str_matches(r"[A-Z]{2}\d+$")), "AA12", "A12"),
        (Column(str, Check.str_length(2, 3)), "ab", "a"),
        (Column(str, Check.str_startswith("a")), "ab", "b"),
        (Column(bool, Check.eq(True)), True, False),
        (Column(DTYPES["timestamp"], Check.lt("2020-01-01")), datetime(2019, 12, 31, tzinfo=UTC), datetime(2020, 1, 1)),
    ],
)
def test_common_checks_travel(column: Column, passes: Any, fails: Any) -> None:
    """The property above would also hold if no check were kept."""
    schema = DataFrameSchema({"x": column})
    [field] = fields(schema)
    assert len(field.checks) == 1
    assert not unchecked(schema)
    assert refused_rows(field, [passes, fails]) == {1}


def test_a_violation_names_row_field_check_and_value() -> None:
    [field] = fields(DataFrameSchema({"origin": Column(str, Check.isin(["EWR", "JFK"]))}))
    [found] = Checks([field]).violations({"origin": ["JFK", "XXX"]})
    assert str(found) == "origin: isin(['EWR', 'JFK']): 'XXX'"
    assert found.to_dict() == {"row": 1, "field": "origin", "check": "isin(['EWR', 'JFK'])", "value": "'XXX'"}


def own(name: str) -> Callable[[Any], Any]:
    return Check(lambda column: column > 0, name=name)


def test_checks_that_cannot_travel_are_listed_by_name() -> None:
    schema = DataFrameSchema(
        {
            "a": Column(float, [Check.ge(0), own("positive"), own("isin"), Check.ge(0, raise_warning=True)]),
            "b": Column(int, Check.unique_values_eq([1, 2]), unique=True),
            "c": Column(str, [Check.ne("x", groupby="a"), Check.isin(["x"], n_failure_cases=1)]),
            "d": Column(DTYPES["timestamp"], Check.gt(pd.Timestamp("2020-01-01T00:00:00.000000001Z"))),
        },
        checks=Check(lambda frame: frame["a"] > 0, error="a is positive"),
        unique=["a", "b"],
    )
    assert [len(field.checks) for field in fields(schema)] == [1, 0, 0, 0]
    assert unchecked(schema) == (
        "the frame: a is positive",
        "the frame: unique",
        "a: positive",
        "a: isin",
        "b: unique_values_eq([1, 2])",
        "b: unique",
        "c: not_equal_to(x)",
        "c: isin(['x'])",
        "d: greater_than(2020-01-01 00:00:00.000000001+00:00)",
    )


def test_a_check_of_a_later_release_is_refused_by_name() -> None:
    values = {"name": "x", "kind": "number", "checks": [{"name": "is_prime", "arguments": {}, "says": "is_prime"}]}
    with pytest.raises(ModelError, match=r"read check is_prime of 'x'.*Upgrade Sailplane"):
        Checks([Field.from_dict(values)])


def test_a_row_of_twenty_columns_takes_a_few_hundred_lines() -> None:
    fast = [Check.in_range(0, 100), Check.ge(0)]
    inputs = fields(DataFrameSchema({f"c{place}": Column(float, fast, nullable=True) for place in range(20)}))
    judged, values = Checks(inputs), {field.name: [50.0] for field in inputs}

    def thousand_rows() -> None:
        for _ in range(1000):
            assert not list(judged.violations(values))

    assert lines(thousand_rows) < 1_000_000


@pytest.mark.slow
def test_a_schema_that_was_made_before_pandera_knew_pandas_has_its_checks() -> None:
    """Pandera registers its functions for pandas when it first validates, and a schema copies them as it is made."""
    program = """
from pandera.pandas import Check, Column, DataFrameSchema
early = DataFrameSchema({"x": Column(float, Check.ge(0))})
import pandas as pd
DataFrameSchema({"x": Column(float, Check.ge(0))}).validate(pd.DataFrame({"x": [1.0]}))
from sailplane.datasets.schema import fields
assert fields(early)[0].checks, "early"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
