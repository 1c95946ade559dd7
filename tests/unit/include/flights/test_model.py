from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from include.flights import data, features, model


@pytest.fixture
def flights(prepared) -> SimpleNamespace:
    """Three weeks for training and one for validation."""
    train = data.extract(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 22, tzinfo=UTC))
    validation = data.extract(datetime(2026, 5, 22, tzinfo=UTC), datetime(2026, 5, 29, tzinfo=UTC))
    return prepared(features, data.SCHEMA, train, validation)


def weights(trained: torch.nn.Module) -> list[bytes]:
    return [value.numpy().tobytes() for value in trained.state_dict().values()]


@pytest.mark.slow
def test_it_learns_and_logs_each_epoch(flights, handle, scores):
    run = handle()
    trained = model.train({"epochs": 3}, flights, run)
    assert [row["step"] for row in run.history] == [0, 1, 2]
    # A higher score would mean that an input knows the future.
    assert 0.6 < run.history[-1]["validation_auc"] < 0.85
    assert scores(trained, flights.validation.features).shape == flights.validation.target.shape


@pytest.mark.slow
def test_training_is_repeatable_bit_for_bit(flights, handle):
    first = weights(model.train({"epochs": 2}, flights, handle()))
    torch.rand(7)
    assert weights(model.train({"epochs": 2}, flights, handle())) == first
    assert weights(model.train({"epochs": 2}, flights, handle(seed=2))) != first


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(flights, handle):
    unbroken = weights(model.train({"epochs": 3}, flights, handle()))
    stopped = handle(stop_after=2)
    model.train({"epochs": 3}, flights, stopped)
    again = handle(again=stopped.folder)
    assert weights(model.train({"epochs": 3}, flights, again)) == unbroken
    assert [row["step"] for row in again.history] == [0, 1, 2]


def test_a_setting_with_a_typo_is_named(flights, handle):
    with pytest.raises(ValueError, match=r"Unknown settings \['learning_rat'\]"):
        model.train({"learning_rat": 0.1}, flights, handle())


@pytest.mark.slow
def test_the_baseline_scores_as_scikit_learn_does(flights, handle, scores):
    ours = scores(model.baseline({}, flights, handle()), flights.validation.features)

    def one_hot(split: SimpleNamespace) -> np.ndarray:
        sizes = [len(values) + 1 for values in flights.state["vocabularies"].values()]
        places = [np.eye(size)[split.features["categories"][:, place]] for place, size in enumerate(sizes)]
        return np.hstack([split.features["numbers"], *places])

    theirs = LogisticRegression(max_iter=500, tol=1e-3).fit(one_hot(flights.train), flights.train.target)
    np.testing.assert_allclose(ours, theirs.decision_function(one_hot(flights.validation)), atol=0.02)


def test_a_value_that_training_did_not_see_adds_nothing(flights, handle):
    trained = model.train({"epochs": 1}, flights, handle())
    unseen = trained.starts.tolist()
    assert not trained.embedding.weight[unseen].any()
    seen = [place for place in range(len(trained.embedding.weight)) if place not in unseen]
    assert trained.embedding.weight[seen].any(dim=1).all()
