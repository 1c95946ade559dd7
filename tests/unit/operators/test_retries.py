from __future__ import annotations

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from sailplane import errors
from sailplane.operators.retries import USER_ERRORS_FAIL


@pytest.mark.parametrize("name", ["ConfigurationError", "SweepFileError", "LabelError", "ModelError", "AccessError"])
def test_what_only_the_user_can_mend_fails_at_once(name: str) -> None:
    error = getattr(errors, name)("read", "it")
    assert USER_ERRORS_FAIL.evaluate(error, 1, 3).action is RetryAction.FAIL


@pytest.mark.parametrize("name", ["StorageError", "ConflictError", "ServiceError", "JobError"])
def test_what_may_be_mended_by_itself_is_tried_again(name: str) -> None:
    error = getattr(errors, name)("read", "it")
    assert USER_ERRORS_FAIL.evaluate(error, 1, 3).action is not RetryAction.FAIL
