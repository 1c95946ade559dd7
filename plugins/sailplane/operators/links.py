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
    """The path of its report at the api-server; empty where there is no report."""
    if not evaluation.report:
        return ""
    below = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/")
    return f"{below}{report_link(evaluation.run.id)}"


class ReportLink(BaseOperatorLink):
    """The button that opens an evaluation's report. Airflow asks for it once, in the task's process at its end."""

    name: ClassVar[str] = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """A path, so that it is right under every host name of the api-server; empty where there is no report."""
        from airflow.sdk.execution_time.xcom import XCom  # a DAG file need not

        returned = XCom.get_value(ti_key=ti_key, key="return_value")
        return link_of(Evaluation.from_dict(returned)) if returned else ""
