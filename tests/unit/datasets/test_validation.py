from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandera.pandas import Check, DataFrameSchema

from sailplane.datasets import load
from sailplane.errors import SchemaError


def test_rows_that_fail_a_check_go_to_quarantine_with_the_reason(store, extract, ingested, source, week, quarantine):
    source.loc[5, "distance"] = -5
    source.loc[6, "distance"] = np.nan
    source.loc[7, ["distance", "carrier"]] = [0.5, "AAA"]
    dataset = ingested(extract, week)
    assert (dataset.rows, dataset.quarantined) == (25, 3)
    (day, bad), *others = quarantine().items()
    assert (day, others) == ("2024-02-27", [])
    assert bad["reason"].tolist() == [
        "distance: greater_than(0): -5",
        "distance: not_nullable: null",
        "carrier: str_length(2, 2): AAA",
    ]
    assert bad["time"].tolist()[0] == "2024-02-27 06:00:00+00:00"
    assert len(load(store, dataset)) == 25


def test_a_row_with_several_faults_names_them_all(store, extract, ingested, source, week, quarantine):
    source.loc[5, ["distance", "carrier"]] = [-5, "AAA"]
    ingested(extract, week)
    (bad,) = quarantine().values()
    assert bad["reason"].tolist() == ["distance: greater_than(0): -5; carrier: str_length(2, 2): AAA"]


def test_values_of_a_wrong_type_in_some_rows_go_to_quarantine(store, extract, ingested, source, week, quarantine):
    mixed = source.astype({"distance": object, "carrier": object, "late": object, "seats": object})
    mixed.loc[0, "distance"] = "far"
    mixed.loc[1, "carrier"] = 7
    mixed.loc[2, "late"] = "maybe"
    mixed.loc[4, "seats"] = 1.5
    mixed.loc[5, "distance"] = np.inf
    extract.frame = mixed
    dataset = ingested(extract, week)
    assert (dataset.rows, dataset.quarantined) == (23, 5)
    reasons = [reason for bad in quarantine().values() for reason in bad["reason"]]
    assert reasons == [
        "distance: not a finite number: 'far'",
        "carrier: not a string: 7",
        "late: not true or false: 'maybe'",
        "seats: not a whole number of at most 64 bits: 1.5",
        "distance: not a finite number: inf",
    ]
    assert load(store, dataset)["seats"].dtype == "Int64"


def test_a_row_without_a_time_goes_to_quarantine(store, extract, ingested, source, week, quarantine):
    lost = source.iloc[[0]].copy()
    lost["time"] = pd.to_datetime([None], utc=True)
    dataset = ingested(lambda start, end: pd.concat([extract(start, end), lost]), week)
    assert (dataset.rows, dataset.quarantined) == (28, 1)
    assert quarantine()["2024-02-26"]["reason"].tolist() == ["time: not_nullable: null"]


def test_a_missing_column_is_one_error_that_names_it(store, extract, ingested, source, week):
    extract.frame = source.drop(columns="distance")
    with pytest.raises(
        SchemaError, match=r"read column 'distance': it is missing; expected the columns time, distance"
    ):
        ingested(extract, week)
    assert store.list() == []


def test_a_column_of_a_wrong_type_is_one_error_that_names_it(store, extract, ingested, source, week):
    extract.frame = source.assign(distance="far")
    with pytest.raises(SchemaError, match=r"'distance': type str, like 'far'; expected a finite number\. Convert"):
        ingested(extract, week)
    assert store.list() == []


def test_times_without_a_time_zone_are_refused(extract, ingested, source, week):
    naive = source.assign(time=source["time"].dt.tz_localize(None))
    with pytest.raises(SchemaError, match=r"'time': times without a time zone.*tz_localize"):
        ingested(lambda _start, _end: naive.head(4), week)


def test_times_of_another_zone_become_utc(store, extract, ingested, week):
    dataset = ingested(lambda start, end: extract(start, end).assign(time=_in_new_york), week)
    assert load(store, dataset)["time"].dtype == "datetime64[us, UTC]"


def _in_new_york(frame: pd.DataFrame) -> pd.Series:
    return frame["time"].dt.tz_convert("America/New_York")


def test_what_is_no_frame_is_refused(ingested, week):
    with pytest.raises(SchemaError, match="NoneType; expected a pandas DataFrame"):
        ingested(lambda _start, _end: None, week)


def test_a_check_that_raises_names_the_column(extract, ingested, week, schema):
    broken = schema.update_column("carrier", checks=Check(lambda carrier: carrier.nonsense()))
    with pytest.raises(SchemaError, match=r"check 'carrier': .*nonsense"):
        ingested(extract, week, broken)


def test_a_rule_over_the_frame_that_fails_is_an_error(extract, ingested, week, schema):
    rule = Check(lambda frame: frame["distance"].mean() > 1000, name="far on average")
    with pytest.raises(SchemaError, match="check the frame: far on average"):
        ingested(extract, week, DataFrameSchema(schema.columns, checks=rule))
