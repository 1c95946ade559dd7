"""The part of `sailplane status` about DAGs and verdicts: failed runs, import errors and pending questions, from
Airflow's REST API, and models that the gate or a person rejected, from the ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sailplane.deployment.rollout.offered import serves, withdrawn
from sailplane.errors import ServiceError
from sailplane.evaluation import history
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.services.airflow_api import AirflowApi, DagRun

# A backfill deploys nothing, and the person who started it looks at its runs.
RUN_TYPES: Final = ("scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization")
WAITING: Final = ("awaiting_input", "deferred")
_PAGE: Final = 100
_PATIENCE: Final = 10.0


@dataclass(frozen=True)
class InAirflow:
    """The findings from Airflow. `fault` says why Airflow cannot be reached; then nothing is known."""

    failed_runs: tuple[dict[str, Any], ...] = ()
    import_errors: tuple[dict[str, Any], ...] = ()
    approvals: tuple[dict[str, Any], ...] = ()
    fault: str | None = None

    @property
    def needs_a_person(self) -> bool:
        return bool(self.failed_runs or self.import_errors or self.approvals or self.fault)

    def content(self) -> dict[str, Any]:
        """The findings as JSON; null if unknown."""
        found = {
            "failed_runs": self.failed_runs,
            "import_errors": self.import_errors,
            "waiting_for_approval": self.approvals,
        }
        known = {name: None if self.fault else list(values) for name, values in found.items()}
        return {**known, "airflow": self.fault}


def in_airflow(home: Home) -> InAirflow:
    try:
        with AirflowApi(home, timeout=_PATIENCE) as api:
            return InAirflow(tuple(_failed_runs(home, api)), tuple(_import_errors(api)), tuple(_approvals(home, api)))
    except ServiceError as error:
        return InAirflow(fault=str(error))


def rejected(ledger: Ledger) -> list[dict[str, Any]]:
    """The models that their newest verdict rejected. Ignores backfills."""
    return [
        {
            "model": judged.evaluation.model,
            "dag": judged.dag,
            "run": judged.dag_run,
            "as_of": judged.evaluation.run.as_of.isoformat(),
            "reasons": list(judged.evaluation.against),
            **_offered(ledger, judged),
        }
        for judged in history.newest(ledger)
        if judged.evaluation.against
    ]


def _offered(ledger: Ledger, judged: history.Judged) -> dict[str, str | None]:
    """`offer` describes the offered baseline, and `deploy` is the command that accepts it."""
    offer = judged.evaluation.offer
    if offer is None or withdrawn(ledger, judged):
        return {"offer": None, "deploy": None}
    if serves(ledger, offer):
        return {"offer": f"Its baseline, version {offer.version}, serves.", "deploy": None}
    return {"offer": offer.message, "deploy": offer.command}


def print_in_airflow(found: InAirflow) -> None:
    for line in _lines(found):
        sys.stdout.write(f"\n{line}\n")


def print_rejected(found: Sequence[dict[str, Any]]) -> None:
    for model in found:
        run = f"run {model['run']} of {model['dag']}"
        sys.stdout.write(f"\nREJECTED: {model['model']} as of {model['as_of'][:10]} ({run})\n")
        sys.stdout.writelines(f"  {reason}\n" for reason in model["reasons"])
        if model["offer"]:
            sys.stdout.write(f"  {model['offer']}\n")


def _lines(found: InAirflow) -> Iterator[str]:
    if found.fault:
        yield f"Failed runs, import errors and pending approvals are unknown: {found.fault}"
    for run in found.failed_runs:
        since = f"since the last success ({run['last_success']})" if run["last_success"] else "and none succeeded"
        tasks = f", task {', '.join(run['tasks'])}" if run["tasks"] else ""
        counted = f"{run['failures']} failed {since}" if run["failures"] > 1 or not run["last_success"] else since
        yield f"FAILED RUN of {run['dag']}: {run['run']}{tasks}; {counted}\n  {run['page']}"
    for error in found.import_errors:
        yield f"IMPORT ERROR in {error['file']}: {error['error']}"
    for question in found.approvals:
        which = f"run {question['run']} of {question['dag']}"
        yield f"WAITING FOR AN ANSWER since {question['since']}: {question['subject']} ({which})\n  {question['page']}"


def _failed_runs(home: Home, api: AirflowApi) -> Iterator[dict[str, Any]]:
    """The newest failed run of each DAG, with the number of failures since its last success."""
    filters: dict[str, Any] = {"run_type": list(RUN_TYPES), "order_by": "-end_date"}
    for dag in sorted({run["dag_id"] for run in _all(api, "/dags/~/dagRuns", "dag_runs", state="failed", **filters)}):
        known = api.find(f"/dags/{dag}")
        if known is None or known["is_stale"]:
            continue
        path = f"/dags/{dag}/dagRuns"
        succeeded = api.call("GET", path, state="success", limit=1, **filters)["dag_runs"]
        last = succeeded[0]["end_date"] if succeeded else None
        since = {"end_date_gt": last} if last else {}
        failed = api.call("GET", path, state="failed", limit=1, **filters, **since)
        if failed["dag_runs"]:
            yield _failed(home, api, DagRun(dag, failed["dag_runs"][0]["dag_run_id"]), failed, last)


def _failed(home: Home, api: AirflowApi, run: DagRun, found: dict[str, Any], last: str | None) -> dict[str, Any]:
    instances = api.call("GET", f"{run.path}/taskInstances", state="failed", limit=_PAGE)["task_instances"]
    return {
        "dag": run.dag,
        "run": run.id,
        "ended": found["dag_runs"][0]["end_date"],
        "tasks": sorted({instance["task_id"] for instance in instances}),
        "failures": found["total_entries"],
        "last_success": last,
        "page": run.page(home),
    }


def _import_errors(api: AirflowApi) -> Iterator[dict[str, Any]]:
    for error in _all(api, "/importErrors", "import_errors"):
        lines = [line for line in error["stack_trace"].splitlines() if line.strip()]
        yield {"file": error["filename"], "error": lines[-1].strip() if lines else "", "trace": error["stack_trace"]}


def _approvals(home: Home, api: AirflowApi) -> Iterator[dict[str, Any]]:
    for question in _all(api, "/dags/~/dagRuns/~/hitlDetails", "hitl_details", response_received=False):
        task = question["task_instance"]
        # A task that was marked or cleared leaves its question unanswered.
        if task["state"] not in WAITING:
            continue
        run = DagRun(task["dag_id"], task["dag_run_id"])
        yield {
            "dag": run.dag,
            "run": run.id,
            "task": task["task_id"],
            "subject": question["subject"],
            "since": question["created_at"],
            "page": f"{run.page(home)}/required_actions",
        }


def _all(api: AirflowApi, path: str, name: str, **query: Any) -> Iterator[dict[str, Any]]:
    """All entries, page by page."""
    offset, total = 0, 1
    while offset < total:
        found = api.call("GET", path, limit=_PAGE, offset=offset, **query)
        yield from found[name]
        offset, total = offset + _PAGE, found["total_entries"]
