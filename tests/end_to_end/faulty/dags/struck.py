"""A sweep whose processes are killed again and again. Tasks that lose their training are retried."""

from datetime import datetime, timedelta

from airflow.sdk import dag
from include.tiny.stages import train

from sailplane.operators import sweep, trigger_form


@dag(
    start_date=datetime(2026, 1, 1),
    default_args={"retries": 50, "retry_delay": timedelta(seconds=1)},
    params=trigger_form(window=21, trials=1, workers=2),
)
def struck():
    trained = train("struck")
    sweep(trained, "include/tiny/struck.yaml", trials="{{ params.trials }}", workers="{{ params.workers }}")


struck()
