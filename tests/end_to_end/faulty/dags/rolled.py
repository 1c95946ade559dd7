"""Small models whose traffic moves in steps."""

from datetime import datetime

from airflow.sdk import dag
from include.tiny.stages import train

from sailplane.operators import ErrorRate, EvaluateModelOperator, Gate, Rollout, deploy, trigger_form


@dag(schedule=None, start_date=datetime(2026, 1, 1), params=trigger_form(window=21, trials=1, workers=1))
def rolled():
    trained = train("rolled").output
    # The first model is deliberately bad.
    gate = Gate(baseline=None)
    evaluate = EvaluateModelOperator(task_id="evaluate", challenger=trained, baseline=trained, gate=gate)
    plan = Rollout(shadow="1s", steps=[20, 100], bake="10s", min_requests=10, checks=[ErrorRate()])
    deploy(evaluate, rollout=plan)


rolled()
