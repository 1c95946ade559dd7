"""The stages over a table so small that a run is quick; several runs go side by side."""

from datetime import datetime, timedelta

from airflow.sdk import dag

from sailplane.operators import (
    DeployModelOperator,
    EvaluateModelOperator,
    IngestDatasetOperator,
    TrainModelOperator,
    sweep,
    trigger_form,
)


@dag(
    start_date=datetime(2026, 1, 1),
    max_active_runs=16,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    params=trigger_form(window=21, trials=1, workers=1),
)
def tiny():
    ingest = IngestDatasetOperator(
        task_id="ingest",
        dataset="tiny",
        extract="include.tiny.data:extract",
        schema="include.tiny.data:SCHEMA",
        time="time",
        days="{{ params.window }}",
    )
    train = TrainModelOperator(
        task_id="train",
        model="tiny",
        dataset=ingest.output,
        features="include.tiny.features",
        train="include.tiny.model:train",
        baseline="include.tiny.model:baseline",
        config={"as_of": "{{ params.as_of }}"},
    )
    best = sweep(train, "include/tiny/sweep.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")
    evaluate = EvaluateModelOperator(task_id="evaluate", challenger=best, baseline=train.output)
    evaluate >> DeployModelOperator(task_id="deploy", evaluation=evaluate.output)


tiny()
