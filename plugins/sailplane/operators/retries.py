"""Decides which errors are worth a retry."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy
from airflow.sdk.definitions.retry_policy import RetryAction, RetryRule

#: A wrong setting, refused credentials, unusable data or a train function that raises would fail again, so the task
#: fails immediately. An unreachable service may come back, so the task's own `retries` apply.
USER_ERRORS_FAIL = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=f"sailplane.errors.{name}", action=RetryAction.FAIL, reason="a retry cannot fix this")
        for name in ("ConfigurationError", "DataError", "TrainingError", "ModelError", "AccessError")
    ]
)
