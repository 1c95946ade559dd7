from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import Manifest
from sailplane.errors import ConfigurationError, ModelError, RequestError
from sailplane.records import Field
from tests.unit.bundles import tiny


def test_a_bundle_scores_a_request_as_it_scores_the_training_rows(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    rows = tiny.frame(200, seed=3)
    records = json.loads(json.dumps([_record(row) for _, row in rows.iterrows()]))
    np.testing.assert_array_equal(bundle.predict(bundle.frame(records)), bundle.predict(rows))


def test_one_row_scores_as_it_does_among_many(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    many = bundle.predict(bundle.frame(bundle.golden_records))
    one_by_one = [bundle.predict(bundle.frame([record]))[0] for record in bundle.golden_records]
    np.testing.assert_allclose(many, one_by_one, atol=1e-6)


def test_a_bundle_holds_no_pickle_and_no_compiled_code(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    bundle.check()
    names = {path.name for path in bundle.folder.rglob("*")}
    assert names == {"manifest.json", "model.onnx", "features.py", "state.json", "golden.json"}


def test_the_features_are_those_of_the_bundle_after_the_checkout_was_edited(tmp_path: Path) -> None:
    tiny.bundle(tmp_path / "bundle")
    tiny.features_file(tmp_path / "bundle-source", "def transform(frame, state): raise RuntimeError")
    Bundle.open(tmp_path / "bundle").check()


def test_two_bundles_in_one_process_keep_their_own_features(tmp_path: Path) -> None:
    first = tiny.bundle(tmp_path / "first", run="1")
    doubled = tiny.FEATURES.replace('/ state["distance"]', '* 2 / state["distance"]')
    second = tiny.bundle(tmp_path / "second", run="2", features=doubled)
    frame = tiny.frame()
    before = first.predict(frame)
    assert not np.allclose(second.predict(frame), before)
    np.testing.assert_array_equal(first.predict(frame), before)


def test_the_same_run_written_again_is_the_same_version(tmp_path: Path) -> None:
    assert tiny.bundle(tmp_path / "a").digest == tiny.bundle(tmp_path / "b").digest
    assert tiny.bundle(tmp_path / "a").digest != tiny.bundle(tmp_path / "b", bias=0.1).digest


def test_writing_replaces_what_a_broken_off_try_left(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_text("half")
    tiny.bundle(tmp_path / "bundle").check()


@pytest.mark.parametrize("name", ["model.onnx", "features.py", "state.json", "golden.json"])
def test_a_changed_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    file = tiny.bundle(tmp_path / "bundle").folder / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=name):
        Bundle.open(tmp_path / "bundle")
    file.unlink()
    with pytest.raises(ModelError, match=name):
        Bundle.open(tmp_path / "bundle")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "null"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tiny.bundle(tmp_path / "bundle").folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        Bundle.open(tmp_path / "bundle")


def test_a_manifest_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tiny.bundle(tmp_path / "bundle").folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(ModelError, match="format 9"):
        Bundle.open(tmp_path / "bundle")


@pytest.mark.parametrize("bias", [float("nan")])
def test_a_model_that_gives_nan_is_refused_with_the_number_of_rows_and_leaves_nothing(
    tmp_path: Path, bias: float
) -> None:
    with pytest.raises(ModelError, match="32 of 32 rows"):
        tiny.bundle(tmp_path / "bundle", bias=bias)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle-source"]


def test_a_prediction_that_is_nan_is_an_error_that_counts_the_rows(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    frame = tiny.frame(10)
    frame.loc[3, "distance"] = float("nan")
    with pytest.raises(ModelError, match=r"1 of 10 rows \(first: row 3\)"):
        bundle.predict(frame)


def test_features_that_differ_between_training_and_a_request_are_found_at_writing(tmp_path: Path) -> None:
    # A float32 column in training becomes float64 in a request.
    skew = '/ state["distance"] + (frame["distance"].dtype == "float32")'
    skewed = tiny.FEATURES.replace('/ state["distance"]', skew)
    golden = tiny.frame().astype({"distance": "float32"})
    with pytest.raises(ModelError, match="off by up to"):
        tiny.bundle(tmp_path / "bundle", features=skewed, golden=golden)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ("from include.flights.data import X\ndef transform(frame, state): ...", "include.flights.data"),
        ("def transform(frame, state):\n    import include", "include"),
        ("from .data import X\ndef transform(frame, state): ...", r"\.data"),
        ("from . import data\ndef transform(frame, state): ...", r"it imports '\.'"),
        ("import no_such_package\ndef transform(frame, state): ...", "no_such_package"),
        ("def transform(frame, state: ...", "was never closed"),
        ("def transfrom(frame, state): ...", "no transform"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_features_that_cannot_travel_are_refused_with_the_reason(tmp_path: Path, features: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        tiny.bundle(tmp_path / "bundle", features=features)
    assert not (tmp_path / "bundle").exists()


def test_a_graph_that_wants_an_array_that_transform_does_not_give_is_refused(tmp_path: Path) -> None:
    features = tiny.FEATURES.replace('"categories": categories', '"kinds": categories')
    with pytest.raises(ModelError, match="categories"):
        tiny.bundle(tmp_path / "bundle", features=features)


def test_bytes_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        tiny.bundle(tmp_path / "bundle", onnx=b"no graph")


def test_a_graph_with_another_number_of_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected \(32, 1\)"):
        tiny.bundle(tmp_path / "bundle", onnx=tiny.graph(outputs=3))


def test_golden_rows_without_a_field_or_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="carrier"):
        tiny.bundle(tmp_path / "bundle", golden=tiny.frame().drop(columns="carrier"))
    with pytest.raises(ModelError, match="no golden rows"):
        tiny.bundle(tmp_path / "bundle", golden=tiny.frame(0))


@pytest.mark.parametrize("name", ["", "Flights", "a b", "a/b", "-a", "a" * 48])
def test_a_name_that_no_url_or_program_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="name a model"):
        tiny.bundle(tmp_path / "bundle", model=name)


def test_several_outputs_give_a_column_each(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle", outputs=("a", "b", "c"))
    assert bundle.predict(tiny.frame(5)).shape == (5, 3)


def test_the_example_is_a_request_that_can_be_sent(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    data = json.loads(json.dumps(bundle.example()))["data"]
    frame = bundle.frame([dict(zip(data["names"], data["ndarray"][0], strict=True))])
    np.testing.assert_allclose(bundle.predict(frame), bundle.golden_scores[:1], atol=1e-6)


def test_a_field_that_does_not_fit_is_named(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    with pytest.raises(RequestError, match="'distance' of row 1"):
        bundle.frame([tiny.RECORD, {**tiny.RECORD, "distance": "far"}])


def _record(row: object) -> dict[str, object]:
    values = dict(row)  # type: ignore[call-overload]
    return {
        **values,
        "wind": None if np.isnan(values["wind"]) else values["wind"],
        "seats": None if values["seats"] is tiny.pd.NA else int(values["seats"]),
        "weekend": bool(values["weekend"]),
        "scheduled": values["scheduled"].isoformat(),
    }


def test_the_digest_of_a_manifest_is_the_one_that_earlier_releases_made() -> None:
    manifest = Manifest(
        format=1,
        model="m",
        target="t",
        outputs=("t",),
        inputs=(Field(name="x", kind="number"),),
        files={"model.onnx": "0"},
        run="r",
        dataset="d",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        created=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert manifest.digest == "ac16c77e9f5f7105003091e6193a7b292f2cec8b014e1e1222c1a9affde0fd83"
