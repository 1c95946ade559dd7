"""A request needs only the fields that `transform` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import columns_of, read
from sailplane.bundles.reads import read_by
from sailplane.errors import ModelError, RequestError
from sailplane.records import Check, Field
from tests.unit.bundles import tiny

FORMAT_1 = Path(__file__).with_name("format-1")
# The digest that the release of 23 November gave the bundle.
FORMAT_1_DIGEST = "dbfc7c6d8e2acd708e23046b2095eba31d2e5585f376743d50735ff77a975a6e"
EXTRA = (*tiny.INPUTS, Field(name="flight", kind="integer"), Field(name="tail", kind="string", nullable=True))
GOLDEN = tiny.frame().assign(flight=7, tail=pd.Series(["N1", None] * 16, dtype="str"))
# It reads `flight` only for fast rows, and no golden row is fast.
BRANCH = tiny.COLUMNS.replace(
    "    known = [",
    "    if (columns['distance'] > 1e6).any():\n        return {'numbers': columns['flight']}\n    known = [",
)


def numbers_of(expression: str, first: str = "columns") -> str:
    return f"import numpy as np\n\ndef transform({first}, state):\n    return {expression}\n"


def reads(text: str, *names: str) -> set[str]:
    """A `transform` with this expression over the inputs a, b and c."""
    scope: dict[str, Any] = {}
    exec(text, scope)  # noqa: S102
    values = {name: np.array([1.0, 2.0]) for name in "abc"}
    rows = values if "(columns" in text else pd.DataFrame(values)
    return set(read_by(scope["transform"], rows, {}, ["a", "b", "c"]))


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("columns['a']", "a"),
        ("columns.get('a') + columns['c']", "ac"),
        ("[columns[name] for name in columns]", "abc"),
        ("list(columns.values())", "abc"),
        ("{**columns}", "abc"),
        ("dict(columns)['a']", "abc"),
        ("columns['a'] if 'b' in columns and len(columns) == 3 else columns['b']", "a"),
        ("{k: v for k, v in columns.items() if k != 'c'}", "abc"),
        ("columns | {'d': 1}", "abc"),
    ],
)
def test_what_is_read_of_arrays_is_known(expression: str, read: str) -> None:
    assert reads(numbers_of(expression)) == set(read)


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("frame['a'].to_numpy() + frame.b", "ab"),
        ("frame[['a', 'c']].max(axis=1)", "ac"),
        ("frame.max(axis=1)", "abc"),
        ("frame.select_dtypes('number')", "abc"),
        ("frame[frame['a'] > 0]['b']", "abc"),
        ("frame['a'] if 'b' in frame and frame.shape[1] == 3 else frame['b']", "a"),
        ("sum(frame[name] for name in frame.columns if name != 'c')", "ab"),
        ("np.zeros(len(frame)) + frame.index", ""),
        ("frame.assign(d=1)['a']", "abc"),
        ("frame.loc[:, 'a']", "abc"),
        ("__import__('pandas').concat([frame, frame])", "abc"),
        ("frame.__setitem__('d', 1)", "abc"),
    ],
)
def test_what_is_read_of_a_frame_is_known_and_else_all_of_it(expression: str, read: str) -> None:
    assert reads(numbers_of(expression, "frame")) == set(read)


@pytest.fixture(scope="module", params=["columns", "frame"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    text = BRANCH if request.param == "columns" else tiny.FEATURES
    return tiny.bundle(tmp_path_factory.mktemp("reads") / "bundle", features=text, inputs=EXTRA, golden=GOLDEN)


def predict(bundle: Bundle, records: list[dict[str, Any]]) -> np.ndarray:
    inputs = bundle.manifest.inputs
    return bundle.predict_values(read(columns_of(records, inputs), inputs))


def test_a_request_may_leave_out_what_transform_does_not_read(bundle: Bundle) -> None:
    assert [field.name for field in bundle.manifest.inputs if not field.required] == ["flight", "tail"]
    assert "flight" not in bundle.example()["data"]["names"]
    records = bundle.golden_records
    fewer = [{name: value for name, value in record.items() if name != "flight"} for record in records]
    np.testing.assert_array_equal(predict(bundle, fewer), predict(bundle, records))
    half = [*fewer[:16], *records[16:]]
    np.testing.assert_array_equal(predict(bundle, half), predict(bundle, records))
    np.testing.assert_array_equal(bundle.predict(GOLDEN.drop(columns=["flight", "tail"])), bundle.predict(GOLDEN))


def test_what_may_be_left_out_is_checked_where_it_is_given(bundle: Bundle) -> None:
    with pytest.raises(RequestError, match=r"read field 'flight' of row 1: 'x'; expected a whole number"):
        predict(bundle, [{**tiny.RECORD, "flight": 1}, {**tiny.RECORD, "flight": "x"}])


@pytest.mark.parametrize("caught", [False, True])
def test_a_branch_that_reads_it_after_all_names_it_and_gives_no_score(tmp_path: Path, caught: bool) -> None:
    text = (
        BRANCH
        if not caught
        else BRANCH.replace(
            "return {'numbers': columns['flight']}",
            "\n        try:\n            columns['flight']\n        except Exception:\n            pass",
        )
    )
    bundle = tiny.bundle(tmp_path / "bundle", features=text, inputs=EXTRA, golden=GOLDEN)
    far = {**tiny.RECORD, "distance": 2e6}
    with pytest.raises(RequestError, match=r"read field 'flight': it is missing.* Send it\.") as refused:
        predict(bundle, [far])
    assert refused.value.status == 400
    assert len(predict(bundle, [tiny.RECORD])) == 1


def test_a_nullable_field_that_is_left_out_is_null(bundle: Bundle) -> None:
    without = {name: value for name, value in tiny.RECORD.items() if name != "wind"}
    np.testing.assert_array_equal(predict(bundle, [without]), predict(bundle, [{**without, "wind": None}]))
    np.testing.assert_array_equal(predict(bundle, [without]), predict(bundle, [{**without, "wind": float("nan")}]))


def test_a_transform_whose_scores_change_without_the_rest_requires_all(tmp_path: Path) -> None:
    """The function bypasses the guard, which then cannot know its inputs."""
    sneaky = tiny.COLUMNS.replace(
        'columns["distance"] / 1000', 'columns["distance"] / (1000 + isinstance(columns, dict))'
    )
    made = tiny.bundle(tmp_path / "bundle", features=sneaky, inputs=EXTRA, golden=GOLDEN)
    assert all(field.required for field in made.manifest.inputs)


def test_golden_rows_have_to_pass_the_checks(tmp_path: Path) -> None:
    short = Check(name="less_than", arguments={"max_value": 500.0}, says="less_than(500)")
    inputs = (Field(name="distance", kind="number", checks=(short,)), *tiny.INPUTS[1:])
    with pytest.raises(ModelError, match=r"check the golden rows of flights: distance: less_than\(500\): "):
        tiny.bundle(tmp_path / "bundle", inputs=inputs)


def test_a_bundle_of_format_1_keeps_its_version_and_its_scores() -> None:
    """The release of 23 November wrote the bytes of this bundle."""
    bundle = Bundle.open(FORMAT_1)
    assert (bundle.manifest.format, bundle.digest) == (1, FORMAT_1_DIGEST)
    written = json.loads((FORMAT_1 / "manifest.json").read_bytes())
    assert bundle.manifest.content() == written
    bundle.check()
    assert all(field.required for field in bundle.manifest.inputs)
    assert bundle.checks.known == []
    with pytest.raises(RequestError, match="'carrier' is missing"):
        bundle.frame([{name: value for name, value in tiny.RECORD.items() if name != "carrier"}])


def test_a_bundle_of_today_says_so(bundle: Bundle) -> None:
    assert json.loads((bundle.folder / "manifest.json").read_bytes())["format"] == 2
    assert Bundle.open(bundle.folder).digest == bundle.digest
