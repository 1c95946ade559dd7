from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sailplane.errors import ConfigurationError
from sailplane.records import Dataset, Field, Interval
from sailplane.training.specs import ScoreSpec, SweepWorkerSpec, spec_from

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DATASET = Dataset(
    name="toy",
    version="v1",
    uri="file:///x",
    interval=Interval.trailing(AS_OF, 28),
    rows=9,
    quarantined=0,
    schema=(Field(name="height", kind="number"),),
)
WORKER = SweepWorkerSpec(
    sweep="toy/s",
    worker="worker 1",
    model="toy",
    dataset=DATASET,
    as_of=AS_OF,
    features="include.toy.features",
    train="include.toy.model:train",
    config={"epochs": 3, "rate": 0.1},
)


def test_specifications_survive_json() -> None:
    score = ScoreSpec(bundle="file:///b", dataset=DATASET, interval=DATASET.interval, keep=("id",))
    for spec in (WORKER, WORKER.trial(0, {}, 0, "a"), score):
        assert spec_from(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_trial_is_the_workers_configuration_with_the_suggested_values_over_it() -> None:
    trial = WORKER.trial(3, {"rate": 0.5}, seed=10, attempt="a1")
    assert (trial.run, dict(trial.config), trial.seed) == ("toy/s/trial-3-a1", {"epochs": 3, "rate": 0.5}, 13)


def test_an_unknown_kind_of_job_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="kind 'tune'; expected train, sweep_worker or score"):
        spec_from({"kind": "tune"})
