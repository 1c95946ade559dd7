"""Skips a task whose model must not be deployed, with the reasons. The run still succeeds."""

from __future__ import annotations

from typing import NoReturn

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from sailplane.operators.as_of import is_backfill
from sailplane.records import Evaluation, Offer


def skip_unless_good(context: Context, evaluation: Evaluation, *, offer: Offer | None = None) -> None:
    """Skips the task if the run is a backfill, if the gate rejected the model and offers nothing, or if a person
    rejected the model."""
    if is_backfill(context):
        skip(context, "a backfill never changes what is served", *evaluation.reasons)
    if not evaluation.passed and offer is None:
        skip(context, *evaluation.reasons)
    if evaluation.approval and not evaluation.approval.approved:
        skip(context, str(evaluation.approval), *evaluation.reasons)


def skip(context: Context, *reasons: str) -> NoReturn:
    """Skips the task, with the reasons in the log and in the XCom `reasons`."""
    context["ti"].xcom_push(key="reasons", value=list(reasons))
    raise AirflowSkipException(f"Nothing is deployed: {'; '.join(reasons)}")
