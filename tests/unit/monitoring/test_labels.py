from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sailplane.errors import LabelError
from sailplane.monitoring.labels import Late, read_labels, truths, uniform


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None, False], [True, pd.NA, False]),
        ([1, None, 0], [1, pd.NA, 0]),
        ([3, 0.5], [3.0, 0.5]),
        (["late", None], ["late", pd.NA]),
        (["late", 1, None, [1, 2]], ["late", "1", pd.NA, "[1, 2]"]),
    ],
)
def test_truths_are_of_one_type_though_some_are_missing(values: list[Any], expected: list[Any]) -> None:
    found = uniform(pd.Series(values, dtype="object"))
    assert found.dtype != "object"
    assert [pd.NA if pd.isna(one) else one for one in found] == expected


def test_the_newest_of_several_labels_wins_by_its_time_or_by_its_place() -> None:
    timed = read_labels(pd.DataFrame({"id": ["a", "a", "b"], "truth": [1, 0, 1], "time": [9, 3, 4]}))
    assert Late.of(timed, "truth").for_rows(["a", "b", "c"], [0, 7, 0]) == [1, 1, None]
    placed = read_labels(pd.DataFrame({"id": ["a", "a"], "truth": [1, 0]}))
    late = Late.of(placed, "truth")
    assert late.for_rows(["a"], [0]) == [0]
    assert (late.count, late.repeated, late.unknown) == (2, 1, 0)


def test_times_of_labels_are_moments_whatever_zone_they_are_written_in_and_none_is_the_oldest(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = ["a,1,2026-10-01T10:30:00Z", "a,0,2026-10-01T11:00:00+02:00", "b,1,2026-10-01", "b,0,"]
    file.write_text("\n".join(["id,truth,time", *rows]))
    assert Late.of(read_labels(file), "truth").for_rows(["a", "b"], [0, 0]) == [1, 1]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"time": ["9/10/2026", "10/10/2026"]}, "the times of labels: .*expected times in ISO 8601"),
        ({"time": [1, "2026-10-01"]}, "the times of labels"),
        ({"row": ["first", "second"]}, "the rows of labels: .*expected whole numbers"),
        ({"row": [0.5, 1]}, "the rows of labels"),
    ],
)
def test_times_and_rows_of_labels_that_are_none_are_refused(columns: dict[str, list[Any]], reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        read_labels(pd.DataFrame({"id": ["a", "b"], "truth": [0, 1], **columns}))


def test_a_label_of_one_row_goes_before_that_of_all_rows() -> None:
    late = Late.of(pd.DataFrame({"id": ["a", "a"], "row": [None, 1], "truth": [0, 1]}), "truth")
    assert late.for_rows(["a", "a", "a"], [0, 1, 2]) == [0, 1, 0]


def test_a_truth_that_is_fed_back_is_of_its_rows_or_of_all() -> None:
    fed_back = pd.DataFrame({"id": ["a", "b", "c", "d"], "truth": ["[[1], [0]]", '"late"', None, "[[1, 2]]"]})
    late = truths(fed_back)
    assert late.for_rows(["a", "a", "b", "c", "d"], [0, 1, 5, 0, 0]) == [1, 0, "late", None, [1, 2]]


def test_labels_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("key,truth\n1,2\n")
    with pytest.raises(LabelError, match="no column 'id'"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(LabelError, match=r"nothing\.parquet"):
        read_labels(tmp_path / "nothing.parquet")
