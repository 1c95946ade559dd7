"""A small model every day, which a person has to approve."""

from datetime import datetime

from airflow.sdk import CronDataIntervalTimetable, dag

from sailplane.operators import EvaluateModelOperator, IngestDatasetOperator, TrainModelOperator, deploy, trigger_form


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=16,
    params=trigger_form(window=21, trials=1, workers=1),
)
def asked():
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
        model="asked",
        dataset=ingest.output,
        features="include.tiny.features",
        train="include.tiny.model:train",
        baseline="include.tiny.model:baseline",
        config={"as_of": "{{ params.as_of }}"},
    )
    evaluate = EvaluateModelOperator(task_id="evaluate", challenger=train.output, baseline=train.output)
    deploy(evaluate, approve=True)


asked()
