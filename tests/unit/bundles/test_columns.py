from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sailplane.bundles.columns import check_names, columns_of, plain_records, read, typed_frame
from sailplane.errors import RequestError
from sailplane.records import Field
from tests.unit.bundles import tiny


def frame_of(*records: object) -> Any:
    return typed_frame(read(columns_of(records, tiny.INPUTS), tiny.INPUTS), tiny.INPUTS)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("distance", "12", "a number"),
        ("distance", True, "a number"),
        ("distance", None, "a number"),
        ("distance", 1e39, "between"),
        ("distance", [1], "a number"),
        ("wind", {}, "a number between -3.4e38 and 3.4e38 or null"),
        ("seats", 1.5, "a whole number"),
        ("seats", 2**63, "64 bits"),
        ("carrier", 7, "a string"),
        ("carrier", None, "a string"),
        ("carrier", "\ud800", "a string"),
        ("weekend", 0, "true or false"),
        ("scheduled", "yesterday", "ISO 8601"),
        ("scheduled", 1372975200, "ISO 8601"),
        ("scheduled", "0001-01-01T00:00:00+14:00", "ISO 8601"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_field(field: str, value: object, expected: str) -> None:
    with pytest.raises(RequestError, match=expected) as caught:
        frame_of({**tiny.RECORD, field: value})
    assert f"'{field}' of row 0" in str(caught.value)
    assert caught.value.status == 400


def test_nulls_change_no_type() -> None:
    full = frame_of(tiny.RECORD)
    assert list(frame_of({**tiny.RECORD, "wind": None, "seats": None}).dtypes) == list(full.dtypes)


def test_a_time_without_an_offset_is_utc_and_others_are_turned_to_utc() -> None:
    frame = frame_of(
        {**tiny.RECORD, "scheduled": "2013-07-05T14:00"}, {**tiny.RECORD, "scheduled": "2013-07-05T10:00-04:00"}
    )
    assert frame["scheduled"][0] == frame["scheduled"][1]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "'distance' is missing"),
        ({**tiny.RECORD, "typo": 1}, "'typo' is unknown"),
        ({k: v for k, v in tiny.RECORD.items() if k != "carrier"}, "'carrier' is missing"),
        ([1, 2], "row 0"),
    ],
)
def test_a_record_with_other_fields_is_refused_with_the_field(record: object, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        frame_of(record)


def test_of_very_many_fields_an_error_lists_the_first() -> None:
    fields = [Field(name=f"f{number}", kind="number") for number in range(1000)]
    with pytest.raises(RequestError, match=r"f0, f1, .*f29 and 970 more") as caught:
        check_names([], fields)
    assert len(str(caught.value)) < 300


def test_no_rows_are_refused() -> None:
    with pytest.raises(RequestError, match="at least one row"):
        frame_of()


RECORDS = st.fixed_dictionaries(
    {
        "distance": st.floats(-1e30, 1e30),
        "wind": st.none() | st.floats(-1e30, 1e30),
        "seats": st.none() | st.integers(-(2**63), 2**63 - 1),
        "carrier": st.text(st.characters(exclude_categories=["Cs"])),
        "weekend": st.booleans(),
        "scheduled": st.datetimes(timezones=st.just(tiny.AS_OF.tzinfo)).map(lambda time: time.isoformat()),
    }
)


@pytest.mark.slow
@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_records_come_back_from_a_frame_as_they_went_in(records: list[dict[str, object]]) -> None:
    assert plain_records(frame_of(*records), tiny.INPUTS) == records


@given(st.lists(st.none() | st.booleans(), min_size=1))
def test_booleans_that_may_be_null_stay_so(values: list[bool | None]) -> None:
    field = Field(name="x", kind="boolean", nullable=True)
    frame = typed_frame(read({"x": values}, (field,)), (field,))
    assert [record["x"] for record in plain_records(frame, (field,))] == values
