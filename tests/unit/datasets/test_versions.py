from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from sailplane.datasets import load
from sailplane.errors import DataError
from sailplane.records import Interval

DAY = timedelta(days=1)


def test_what_is_loaded_is_what_was_extracted(store, extract, ingested, source, week):
    dataset = ingested(extract, week)
    pd.testing.assert_frame_equal(load(store, dataset), source.head(28))


def test_whole_numbers_with_nulls_are_not_rounded_on_their_way(store, extract, ingested, source, week):
    source["seats"] = pd.array([2**62 + 1, None] * 200, dtype="Int64")
    assert load(store, ingested(extract, week))["seats"].iloc[0] == 2**62 + 1


def test_some_days_of_a_version_can_be_loaded(store, extract, ingested, source, week):
    dataset = ingested(extract, week)
    part = Interval(start=week.start + 2 * DAY, end=week.start + 4 * DAY)
    pd.testing.assert_frame_equal(load(store, dataset, part), source.iloc[8:16].reset_index(drop=True))


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (5, 8), (3, 3), (0.5, 2)])
def test_days_that_a_version_does_not_hold_are_refused(store, extract, ingested, week, first, last):
    dataset = ingested(extract, week)
    with pytest.raises(DataError, match=r"expected whole days within 2024-02-26\.\.2024-03-04"):
        load(store, dataset, Interval(start=week.start + first * DAY, end=week.start + last * DAY))


def test_a_version_that_is_gone_is_named(store, extract, ingested, week):
    dataset = ingested(extract, week)
    store.delete(store.path(dataset.uri))
    with pytest.raises(DataError, match=f"{dataset.version}.json: it is gone"):
        load(store, dataset)


def test_a_partition_that_is_gone_or_damaged_is_named(store, extract, ingested, week):
    dataset = ingested(extract, week)
    (path,) = [path for path in store.list("datasets/flights/partitions/2024-02-28") if path.endswith(".parquet")]
    store.put(path, store.get(path)[:-1])
    with pytest.raises(DataError, match=r"partitions/2024-02-28/.*its content has changed.*Restore"):
        load(store, dataset)
    store.delete(path)
    with pytest.raises(DataError, match=r"partitions/2024-02-28/.*it is gone"):
        load(store, dataset)
