"""The stages over a table so small that a run is quick. Several runs go on at the same time."""

from datetime import datetime, timedelta

from airflow.sdk import dag
from include.tiny.stages import train

from sailplane.operators import EvaluateModelOperator, Gate, deploy, sweep, trigger_form


@dag(
    start_date=datetime(2026, 1, 1),
    max_active_runs=16,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    params=trigger_form(window=21, trials=1, workers=1),
)
def tiny():
    trained = train("tiny")
    best = sweep(trained, "include/tiny/sweep.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")
    # The first model is deliberately bad.
    gate = Gate(baseline=None)
    deploy(EvaluateModelOperator(task_id="evaluate", challenger=best, baseline=trained.output, gate=gate))


tiny()
