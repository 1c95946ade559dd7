from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from include.digits import data, features, model

START = datetime(2026, 10, 24, tzinfo=UTC)
DAY = timedelta(days=1)


def images(frame: pd.DataFrame) -> list[bytes]:
    return [row.tobytes() for row in frame[data.PIXELS].to_numpy()]


@pytest.mark.parametrize("start", [START, datetime(1969, 12, 20, tzinfo=UTC), datetime(2024, 2, 20, tzinfo=UTC)])
def test_28_days_hold_every_image_once(start):
    window = data.extract(start, start + 28 * DAY)
    source = load_digits().data.astype("int64")
    assert sorted(images(window)) == sorted(row.tobytes() for row in source)
    assert window["scanned_at"].is_monotonic_increasing
    assert data.SCHEMA.validate(window, lazy=True) is not None


def test_28_days_later_the_same_images_come_again():
    once, again = data.extract(START, START + DAY), data.extract(START + 28 * DAY, START + 29 * DAY)
    assert images(once) == images(again)
    assert (again["scanned_at"] - once["scanned_at"]).unique().tolist() == [pd.Timedelta(days=28)]


def test_every_day_has_its_scans_and_none_lies_outside():
    window = data.extract(START, START + 28 * DAY)
    assert window.groupby(window["scanned_at"].dt.floor("D")).size().between(64, 65).all()
    noon = START + timedelta(hours=12)
    parts = [data.extract(START, noon), data.extract(noon, START + DAY)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), data.extract(START, START + DAY))


def test_one_image_gives_the_same_numbers_alone_as_among_others():
    frame = data.extract(START, START + 3 * DAY)
    state = features.fit(frame)
    assert json.loads(json.dumps(state)) == state
    together = features.transform(frame.drop(columns="digit"), state)["image"]
    assert (together.dtype, together.shape) == (np.dtype("float32"), (len(frame), 1, 8, 8))
    for place in range(len(frame)):
        alone = features.transform(frame.iloc[[place]], state)["image"]
        assert alone.tobytes() == together[[place]].tobytes()


@pytest.fixture
def scans(prepared):
    return prepared(
        features, data.SCHEMA, data.extract(START, START + 14 * DAY), data.extract(START + 14 * DAY, START + 21 * DAY)
    )


@pytest.mark.slow
def test_the_net_reads_nine_of_ten_digits_and_so_does_the_baseline(scans, handle, scores):
    for trained in (model.train({"epochs": 8}, scans, handle()), model.baseline({}, scans, handle())):
        logits = scores(trained, scans.validation.features)
        assert logits.shape == (len(scans.validation.target), 10)
        assert (logits.argmax(axis=1) == scans.validation.target).mean() > 0.9


@pytest.mark.slow
def test_training_is_repeatable_bit_for_bit_also_over_a_break(scans, handle):
    def weights(run: object) -> list[bytes]:
        return [value.numpy().tobytes() for value in model.train({"epochs": 2}, scans, run).state_dict().values()]

    first, stopped = weights(handle()), handle(stop_after=1)
    weights(stopped)
    assert weights(handle()) == first
    assert weights(handle(again=stopped.folder)) == first
