"""Decides which errors a retry can mend."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy
from airflow.sdk.definitions.retry_policy import RetryAction, RetryRule

#: A wrong setting, refused credentials, unusable data or a train function that raises is the same at the next try: fail
#: at once.
#: A service that is away may be back: the task's own `retries` apply.
USER_ERRORS_FAIL = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=f"sailplane.errors.{name}", action=RetryAction.FAIL, reason="a retry cannot mend this")
        for name in ("ConfigurationError", "DataError", "TrainingError", "ModelError", "AccessError")
    ]
)
