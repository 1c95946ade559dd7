"""`prepared`, `handle` and `scores` are in tests/unit/include/conftest.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sklearn.metrics import roc_auc_score

from include.your_project import data, features, model

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_rows_fit_the_schema_and_lie_in_their_interval():
    rows = data.extract(START, START + 3 * DAY)
    data.SCHEMA.validate(rows, lazy=True)
    assert rows["seen_at"].between(START, START + 3 * DAY, inclusive="left").all()
    assert rows["seen_at"].dt.date.nunique() == 3


@pytest.fixture(scope="module")
def windows():
    return data.extract(START, START + 28 * DAY), data.extract(START + 28 * DAY, START + 35 * DAY)


def test_what_fit_learns_is_json_and_one_row_has_the_same_features_alone(prepared, windows):
    train, validation = windows
    together = prepared(features, data.SCHEMA, train, validation)
    assert json.loads(json.dumps(together.state)) == together.state
    alone = prepared(features, data.SCHEMA, train, validation[:1])
    assert (alone.validation.features["inputs"] == together.validation.features["inputs"][:1]).all()


def test_the_model_and_its_baseline_learn(prepared, windows, handle, scores):
    rows = prepared(features, data.SCHEMA, *windows)
    for train in (model.train, model.baseline):
        logits = scores(train({}, rows, handle()), rows.validation.features)
        assert logits.shape == rows.validation.target.shape
        assert roc_auc_score(rows.validation.target, logits) > 0.6
