from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane import operators
from sailplane.errors import ConfigurationError, DataError, ModelError
from sailplane.home import Home
from sailplane.operators import BatchPredictOperator
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Dataset, Deployment, Interval, Model
from sailplane.registry.models import promote, register
from sailplane.storage import Storage
from tests.homes import new_ledger
from tests.unit.predictions import parcels
from tests.unit.predictions.parcels import AS_OF, DAY

DATASET = Dataset(
    name="parcels", version="v", uri="file:///d", interval=parcels.DAYS, rows=96, quarantined=0, schema=parcels.INPUTS
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    home = Home.find()
    new_ledger(home.ledger)
    return home


@pytest.fixture
def champion(home: Home, tmp_path: Path) -> Model:
    """A champion as of the dataset's end, and a version of the day before, which was registered later."""
    ledger, storage = new_ledger(home.ledger), Storage(home.store)
    made = [
        register(
            ledger, storage, parcels.trained(storage, tmp_path / "scratch", name=f"run-{n}", as_of=AS_OF - n * DAY)
        )
        for n in range(2)
    ]
    promote(ledger, "parcels", made[0].version)
    return made[0]


def specification(model: Any, as_of: datetime = AS_OF, **how: Any) -> Any:
    operator = BatchPredictOperator(task_id="score", model=model, dataset=DATASET.to_dict(), **how)
    run = SimpleNamespace(run_after=as_of, run_type="backfill", partition_key=None)
    return operator.specification({"params": {}, "dag_run": run})  # type: ignore[typeddict-item]


def test_a_name_is_its_champion_and_all_days_are_scored(champion: Model) -> None:
    spec = specification("parcels", keep=["parcel"])
    assert (spec.bundle, spec.digest) == (champion.uri, champion.digest)
    assert (spec.dataset, spec.interval, spec.keep) == (DATASET, parcels.DAYS, ("parcel",))


def test_a_version_an_alias_and_records_of_either_are_the_same_model(champion: Model) -> None:
    deployed = Deployment(
        name="parcels", version=champion.version, weights={champion.version: 100}, endpoint="http://x"
    )
    names = [f"parcels@{champion.version}", "parcels@champion", champion.to_dict(), deployed.to_dict()]
    assert {specification(name).digest for name in names} == {champion.digest}


def test_a_run_is_scored_by_what_it_trained_registered_or_not(home: Home, tmp_path: Path) -> None:
    run = parcels.trained(Storage(home.store), tmp_path / "scratch")
    spec = specification(run.to_dict())
    assert (spec.bundle, spec.digest) == (run.bundle, None)


def test_a_run_in_the_past_scores_the_days_before_it_by_a_version_that_has_seen_no_others(champion: Model) -> None:
    spec = specification("parcels", AS_OF - DAY)
    assert spec.digest != champion.digest
    assert spec.interval == Interval(start=parcels.DAYS.start, end=AS_OF - DAY)
    with pytest.raises(ModelError, match="every version was trained on later data"):
        specification("parcels", AS_OF - 2 * DAY)


def test_a_model_that_is_named_outright_is_taken_in_spite_of_what_it_has_seen_and_the_log_says_so(
    champion: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("a task")
    monkeypatch.setattr(BatchPredictOperator, "log", log)
    assert specification("parcels@champion", AS_OF - DAY).digest == champion.digest
    (record,) = caplog.records
    assert record.getMessage() == "The model has seen the days up to 2026-03-01; this run is as of 2026-02-28"


def test_a_dataset_of_later_days_only_is_an_error(champion: Model) -> None:
    with pytest.raises(DataError, match=r"the days 2026-02-25\.\.2026-03-01; expected days before 2026-02-25"):
        specification("parcels@champion", parcels.DAYS.start)


@pytest.mark.parametrize("model", [None, 7, {"name": "parcels"}])
def test_what_names_no_model_is_refused(home: Home, model: Any) -> None:
    with pytest.raises(ConfigurationError, match="read the model of score"):
        specification(model)


def test_a_model_that_is_not_there_is_named(champion: Model) -> None:
    with pytest.raises(ModelError, match="find model parcels@nope: no such version"):
        specification("parcels@nope")


def test_a_wrong_setting_is_not_tried_again_and_the_model_may_be_a_template() -> None:
    task = BatchPredictOperator(task_id="score", model="{{ params.model }}@champion", dataset={})
    assert task.retry_policy is USER_ERRORS_FAIL
    task.render_template_fields({"params": {"model": "parcels"}})  # type: ignore[arg-type,typeddict-item]
    assert task.model == "parcels@champion"
    assert "BatchPredictOperator" in operators.__all__


def test_a_column_to_keep_is_given_in_a_list() -> None:
    with pytest.raises(ConfigurationError, match=r"'parcel'; expected a list, as in \['parcel'\]"):
        BatchPredictOperator(task_id="score", model="parcels", dataset=DATASET.to_dict(), keep="parcel")
