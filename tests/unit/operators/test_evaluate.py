from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sailplane.errors import ConfigurationError
from sailplane.evaluation.gate import Gate
from sailplane.operators import EvaluateModelOperator
from sailplane.operators.links import link_of
from sailplane.records import Dataset, Evaluation, Interval, Run

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Interval.trailing(AS_OF, 28)
DATASET = Dataset(name="d", version="v", uri="file:///d", interval=WINDOW, rows=1, quarantined=0, schema=())
RUN = Run(
    id="m/manual__2026 1/train",
    model="m",
    config={},
    seed=0,
    dataset=DATASET,
    as_of=AS_OF,
    metrics={},
    bundle="file:///b",
    seconds=1.0,
)
JUDGED = Evaluation(
    model="m", run=RUN, window=WINDOW, rows=7, metrics={}, champion=None, passed=True, reasons=(), report="file:///r"
)


def test_a_task_without_a_gate_has_the_default_one() -> None:
    assert EvaluateModelOperator(task_id="evaluate", challenger={}, baseline={}).gate == Gate()


def test_what_is_no_gate_is_refused_where_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match=r"read the gate of evaluate: 0\.55; expected Gate"):
        EvaluateModelOperator(task_id="evaluate", challenger={}, baseline={}, gate=0.55)  # type: ignore[arg-type]


def test_the_link_is_a_path_that_holds_under_every_host_name() -> None:
    assert link_of(JUDGED) == "/sailplane/reports/m/manual__2026%201/train/report.html"
    assert link_of(replace(JUDGED, report=None)) == ""


def test_the_link_is_below_the_place_where_airflow_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/air/")
    assert link_of(JUDGED).startswith("/air/sailplane/reports/m/")
