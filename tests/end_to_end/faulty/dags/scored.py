"""The champion of another DAG scores the days before the as-of."""

from datetime import datetime

from airflow.sdk import dag
from include.tiny.stages import ingest

from sailplane.operators import BatchPredictOperator, trigger_form


@dag(start_date=datetime(2026, 1, 1), params=trigger_form(window=21, trials=1, workers=1))
def scored():
    BatchPredictOperator(task_id="score", model="asked", dataset=ingest().output)


scored()
