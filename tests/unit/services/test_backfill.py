"""Backfills of days that are not complete yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.api_fastapi.core_api.datamodels.tasks import TaskResponse
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from sailplane.errors import ConfigurationError
from sailplane.operators import IngestDatasetOperator
from sailplane.records import Interval
from sailplane.services.backfill import Backfill

# A warning of Airflow's own search for plugins.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)


class Api:
    """The answers of Airflow's API about a DAG. `posted` are the requested backfills."""

    def __init__(self, *delays: str | None) -> None:
        with DAG("sales", schedule=None) as dag:
            for number, delay in enumerate(delays):
                given = {"dataset": "d", "extract": "x:y", "schema": "x:z", "time": "t"}
                IngestDatasetOperator(task_id=f"ingest_{number}", delay=delay, **given)  # type: ignore[arg-type]
        kept = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        self.posted: list[dict[str, Any]] = []
        self._tasks = [TaskResponse.model_validate(task).model_dump(mode="json") for task in kept.tasks]

    def find(self, _path: str) -> dict[str, Any]:
        return {"is_paused": False}

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if path.endswith("/tasks"):
            return {"tasks": self._tasks}
        if (method, path) == ("POST", "/backfills"):
            self.posted.append(body)
        return {"backfills": [{"logical_date": body["from_date"]}]}


def backfill(api: Api, last: datetime) -> Backfill:
    """A backfill of the day `last` and the day before it."""
    return Backfill(api, "sales", Interval(start=last - DAY, end=last + DAY))  # type: ignore[arg-type]


def test_a_last_day_whose_rows_still_arrive_is_refused_with_the_moment_from_which_it_is_complete() -> None:
    api = Api("1h", "30h", None)
    said = f"{TODAY - DAY:%Y-%m-%d} is complete from {TODAY + timedelta(hours=30):%Y-%m-%d %H:%M} UTC on"
    with pytest.raises(ConfigurationError, match=f"--to {said}") as refused:
        backfill(api, TODAY - DAY).create(at_a_time=1, again=False)
    assert "name an earlier day" in str(refused.value)
    assert api.posted == []


@pytest.mark.parametrize(("delay", "last"), [("24h", TODAY - 2 * DAY), (None, TODAY - DAY)])
def test_a_day_that_is_complete_is_run(delay: str | None, last: datetime) -> None:
    api = Api(delay)
    backfill(api, last).create(at_a_time=1, again=False)
    (posted,) = api.posted
    bounds = [datetime.fromisoformat(posted[name]) for name in ("from_date", "to_date")]
    assert bounds == [last - DAY, last + DAY - timedelta(seconds=1)]
