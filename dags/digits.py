"""# digits

Which digit is on an 8 x 8 picture? A second project through the same operators: images, ten classes, a small
convolutional net, every week. The data are scikit-learn's 1,797 handwritten digits; a scanner sees all of them every 28
days, so each window holds every image once, and train and test never share one.
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
    schedule=CronDataIntervalTimetable("0 0 * * 0", timezone="UTC"),
    start_date=datetime(2014, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params=trigger_form(window=28, workers=2),
    doc_md=__doc__,
    tags=["sailplane"],
)
def digits():
    ingest = IngestDatasetOperator(
        task_id="ingest",
        dataset="digits",
        extract="include.digits.data:extract",
        schema="include.digits.data:SCHEMA",
        time="scanned_at",
        days="{{ params.window }}",
    )
    train = TrainModelOperator(
        task_id="train",
        model="digits",
        dataset=ingest.output,
        features="include.digits.features",
        train="include.digits.model:train",
        baseline="include.digits.model:baseline",
    )
    best = sweep(train, "include/digits/sweep.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")
    gate = Gate(metric="auc", minimum=0.9)
    evaluate = EvaluateModelOperator(task_id="evaluate", challenger=best, baseline=train.output, gate=gate)
    deploy(evaluate)


digits()
