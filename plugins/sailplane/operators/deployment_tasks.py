"""The tasks that deploy a model: an optional approval, then the deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import XComArg

from sailplane.deployment.rollout.plan import Rollout
from sailplane.operators.approve import DEADLINE, ApproveModelOperator, Default
from sailplane.operators.deploy import DeployModelOperator
from sailplane.operators.evaluate import EvaluateModelOperator


def deploy(
    evaluate: EvaluateModelOperator,
    *,
    approve: bool = False,
    deadline: timedelta = DEADLINE,
    default: Default = "reject",
    rollout: Rollout | None = None,
    **where: Any,
) -> XComArg:
    """Creates the task `deploy`, which serves the model that passed.

    :param evaluate: the task that judged it
    :param approve: ask a person first: adds the task `approve`, which waits for an answer in Airflow's UI without
        occupying a worker. If the verdict offers the baseline, the question is about it, and `deploy` serves it
    :param deadline: how long `approve` waits for an answer
    :param default: the answer after the deadline, `"approve"` or `"reject"`
    :param rollout: the steps in which the model takes over; None for all traffic at once
    :param where: other arguments of `DeployModelOperator`, such as `on_violation="flag"`, or `target="kubernetes"` with
        its settings
    :returns: the `Deployment`, as XCom
    :raises ConfigurationError: for arguments that do not fit together

    Example::

        deploy(evaluate, approve=True, rollout=Rollout(steps=[10, 50, 100]))
    """
    evaluation = evaluate.output
    if approve:
        approval = ApproveModelOperator(task_id="approve", evaluation=evaluation, deadline=deadline, default=default)
        evaluation = approval.output
    return DeployModelOperator(task_id="deploy", evaluation=evaluation, rollout=rollout, **where).output
