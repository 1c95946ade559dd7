"""Serves on a cluster, in steps, a model that was judged elsewhere."""

from datetime import datetime

from airflow.sdk import dag, task

from sailplane.operators import CoreV1, DeployModelOperator, ErrorRate, Rollout


@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"evaluation": {}})
def clustered():
    @task
    def judged(params=None):
        return params["evaluation"]

    DeployModelOperator(
        task_id="deploy",
        evaluation=judged(),
        target="kubernetes",
        seldon=CoreV1(image="registry.test/sailplane-seldon:0.1.0"),
        rollout=Rollout(shadow="1s", steps=[30, 100], bake="4s", min_requests=10, checks=[ErrorRate()]),
    )


clustered()
