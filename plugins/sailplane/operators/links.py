from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from sailplane.evaluation.details import report_link
from sailplane.records import Evaluation

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def link_of(evaluation: Evaluation) -> str:
    """The path of the evaluation's report at the api-server; empty if there is no report."""
    if not evaluation.report:
        return ""
    below = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/")
    return f"{below}{report_link(evaluation.run.id)}"


class ReportLink(BaseOperatorLink):
    """The button that opens an evaluation's report. Airflow calls `get_link` once, at the end of the task's process."""

    name: ClassVar[str] = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """A path, which is valid under every host name of the api-server; empty if there is no report."""
        from airflow.sdk.execution_time.xcom import XCom  # not needed by DAG files

        returned = XCom.get_value(ti_key=ti_key, key="return_value")
        return link_of(Evaluation.from_dict(returned)) if returned else ""
