"""# your_project

Which customers cancel? Every day this DAG takes the last 42 days, trains, searches, judges, and serves the model if it
is better than the one that is served.
"""

from datetime import datetime, timedelta

from airflow.sdk import CronDataIntervalTimetable, dag

from sailplane.operators import (
    EvaluateModelOperator,
    Gate,
    IngestDatasetOperator,
    TrainModelOperator,
    deploy,
    sweep,
    trigger_form,
)


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params=trigger_form(window=42, workers=2),
    doc_md=__doc__,
    tags=["sailplane"],
)
def your_project():
    ingest = IngestDatasetOperator(
        task_id="ingest",
        dataset="your_project",
        extract="include.your_project.data:extract",
        schema="include.your_project.data:SCHEMA",
        time="seen_at",
        days="{{ params.window }}",
    )
    train = TrainModelOperator(
        task_id="train",
        model="your_project",
        dataset=ingest.output,
        features="include.your_project.features",
        train="include.your_project.model:train",
        baseline="include.your_project.model:baseline",
    )
    best = sweep(
        train,
        "include/your_project/sweep.yaml",
        trials="{{ params.trials }}",
        workers="{{ params.workers }}",
    )
    gate = Gate(metric="auc", minimum=0.6)
    evaluate = EvaluateModelOperator(task_id="evaluate", challenger=best, baseline=train.output, gate=gate)
    deploy(evaluate)


your_project()
