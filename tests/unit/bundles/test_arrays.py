from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.arrays import arrays_of_frame, arrays_of_values
from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import columns_of, plain_records, read
from sailplane.bundles.features import takes_columns
from sailplane.records import Field
from tests.unit.bundles import tiny

NULLABLE = tuple(Field(name=field.name, kind=field.kind, nullable=True) for field in tiny.INPUTS)


def test_a_request_gives_the_arrays_that_the_frame_of_the_same_rows_gives() -> None:
    for inputs in (tiny.INPUTS, NULLABLE):
        frame = tiny.frame()
        of_frame = arrays_of_frame(frame, inputs)
        of_request = arrays_of_values(read(columns_of(plain_records(frame, inputs), inputs), inputs), inputs)
        assert list(of_frame) == list(of_request) == [field.name for field in inputs]
        for name, array in of_frame.items():
            assert array.dtype == of_request[name].dtype, name
            np.testing.assert_array_equal(array, of_request[name])


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("number", [1.5, None], np.array([1.5, np.nan])),
        ("integer", [2, None], np.array([2.0, np.nan])),
        ("boolean", [True, None], np.array([1.0, np.nan])),
        ("string", ["a", None], np.array(["a", None], dtype=object)),
        ("timestamp", ["2026-01-01T02:00:00+02:00", None], np.array(["2026-01-01", "NaT"], dtype="datetime64[us]")),
    ],
)
def test_what_is_missing_stays_missing(kind: str, values: list[object], expected: np.ndarray) -> None:
    inputs = (Field(name="x", kind=kind, nullable=True),)  # type: ignore[arg-type]
    array = arrays_of_values(read({"x": values}, inputs), inputs)["x"]
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_a_frame_may_have_other_columns_too_and_may_lack_the_target() -> None:
    frame = pd.DataFrame({"distance": [1.0], "other": ["x"]})
    assert list(arrays_of_frame(frame, tiny.INPUTS)) == ["distance"]


def test_the_name_of_the_first_parameter_says_what_a_transform_takes() -> None:
    def of_arrays(columns, state): ...

    def of_a_frame(frame, state): ...

    assert takes_columns(of_arrays)
    assert not takes_columns(of_a_frame)


def test_a_bundle_whose_transform_takes_columns_scores_frames_and_requests_alike(tmp_path) -> None:
    bundle: Bundle = tiny.bundle(tmp_path / "bundle", features=tiny.COLUMNS)
    inputs = bundle.manifest.inputs
    values = read(columns_of(bundle.golden_records, inputs), inputs)
    np.testing.assert_array_equal(bundle.predict_values(values), np.float32(bundle.golden_scores))
    np.testing.assert_array_equal(bundle.predict(bundle.frame(bundle.golden_records)), np.float32(bundle.golden_scores))
