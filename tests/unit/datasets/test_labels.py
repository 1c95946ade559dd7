from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sailplane.datasets.labels import labelled
from sailplane.errors import LabelError, SchemaError


def frame(labels: Any) -> pd.DataFrame:
    return pd.DataFrame({"row": range(len(labels)), "label": labels})


@pytest.mark.parametrize(
    "labels",
    [
        pd.array([True, None, False], dtype="boolean"),
        pd.array([1, None, 0], dtype="Int64"),
        np.array([1.0, np.nan, 0.0]),
        np.array([True, None, False], dtype=object),
    ],
    ids=["boolean", "Int64", "float", "object"],
)
def test_a_yes_or_no_is_1_or_0_in_whatever_type_it_comes(labels: Any) -> None:
    rows, target = labelled(frame(labels), "label", ("label",), "toy")
    assert (rows["row"].tolist(), target.tolist(), target.dtype) == ([0, 2], [1, 0], np.float32)


@pytest.mark.parametrize("labels", [[2, 0], [2.0, 0.0], ["2", "0"]], ids=["int", "float", "str"])
def test_a_class_is_its_place_among_the_outputs(labels: Any) -> None:
    _, target = labelled(frame(labels), "label", ("0", "1", "2"), "toy")
    assert (target.tolist(), target.dtype) == ([2, 0], np.int64)


def test_a_label_that_is_none_of_the_classes_is_named() -> None:
    with pytest.raises(LabelError, match="'label' is '7'; expected one of a, b"):
        labelled(frame(["a", 7]), "label", ("a", "b"), "toy")


def test_labels_that_are_all_nan_are_refused_with_the_remedy() -> None:
    with pytest.raises(
        LabelError,
        match=r"toy: all 2 rows have an empty 'label'.*Check the rows that extract returns.*datasets refresh",
    ):
        labelled(frame([np.nan, np.nan]), "label", ("label",), "toy")


def test_a_target_that_is_no_column_is_named() -> None:
    with pytest.raises(SchemaError, match="no column 'late'; expected one of row, label"):
        labelled(frame([1]), "late", ("late",), "toy")
