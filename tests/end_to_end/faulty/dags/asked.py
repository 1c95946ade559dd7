"""Small models, which a person has to approve every day: one is answered, one is never answered."""

from datetime import datetime, timedelta

from airflow.sdk import CronDataIntervalTimetable, dag
from include.tiny.stages import train

from sailplane.operators import EvaluateModelOperator, deploy, trigger_form


def daily(name: str, deadline: timedelta, *, max_active_runs: int) -> None:
    @dag(
        name,
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=datetime(2026, 1, 1),
        catchup=False,
        max_active_runs=max_active_runs,
        params=trigger_form(window=21, trials=1, workers=1),
    )
    def stages():
        trained = train(name).output
        evaluate = EvaluateModelOperator(task_id="evaluate", challenger=trained, baseline=trained)
        deploy(evaluate, approve=True, deadline=deadline)

    stages()


daily("asked", timedelta(hours=24), max_active_runs=1)
daily("unanswered", timedelta(seconds=10), max_active_runs=16)
