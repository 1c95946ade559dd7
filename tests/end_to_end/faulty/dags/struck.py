"""A sweep whose processes are killed again and again: a task that loses its training is tried again."""

from datetime import datetime, timedelta

from airflow.sdk import dag

from sailplane.operators import IngestDatasetOperator, TrainModelOperator, sweep, trigger_form


@dag(
    start_date=datetime(2026, 1, 1),
    default_args={"retries": 50, "retry_delay": timedelta(seconds=1)},
    params=trigger_form(window=21, trials=1, workers=2),
)
def struck():
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
        model="struck",
        dataset=ingest.output,
        features="include.tiny.features",
        train="include.tiny.model:train",
        baseline="include.tiny.model:baseline",
        config={"as_of": "{{ params.as_of }}"},
    )
    sweep(train, "include/tiny/struck.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")


struck()
