"""Shows the results of a run of the main DAG from its tasks' XComs, or why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape

from sailplane.deployment.token import authorization
from sailplane.evaluation.details import report_link
from sailplane.home import Home
from sailplane.records import Dataset, Evaluation
from sailplane.records import Run as TrainingRun
from sailplane.services.airflow_api import AirflowApi, DagRun
from sailplane.services.served import ask, curl, example, served

LOG_LINES = 15
NOISE = ("::group::", "::endgroup::")


def show_summary(home: Home, api: AirflowApi, run: DagRun, console: Console) -> None:
    console.print()
    evaluation = api.xcom(run, "evaluate")
    for name, value in (*summary_lines(api, run), *_report(home, evaluation), ("UI", run.page(home))):
        console.print(f"[bold]{name:<12}[/]{escape(value)}")
    _show_prediction(home, evaluation["model"] if evaluation else run.dag, console)


def summary_lines(api: AirflowApi, run: DagRun) -> Iterator[tuple[str, str]]:
    """The name and text of each line. Tasks that the DAG lacks have no line."""
    ingested, tuned, judged = (api.xcom(run, task) for task in ("ingest", "sweep.best", "evaluate"))
    if ingested:
        dataset = Dataset.from_dict(ingested)
        yield "Data", f"{dataset.name} {dataset.interval}: {dataset.rows:,} rows, {dataset.quarantined:,} quarantined"
        if again := api.xcom(run, "ingest", key="ingested_again"):
            yield from (("", sentence) for sentence in again)
    if tuned:
        best = TrainingRun.from_dict(tuned)
        yield "Best trial", f"#{best.trial}: {_numbers(best.metrics)}"
        yield "", f"with {_numbers(best.config)}"
    if judged:
        evaluation = Evaluation.from_dict(judged)
        for contender, metrics in evaluation.metrics.items():
            yield contender.capitalize(), _numbers(metrics)
        yield "Gate", "passed" if evaluation.passed else "not passed: nothing new is deployed"
        yield from (("", reason) for reason in (*evaluation.reasons, evaluation.held) if reason)


def _report(home: Home, evaluation: Any) -> Iterator[tuple[str, str]]:
    if evaluation and evaluation.get("report"):
        yield "Report", f"http://localhost:{home.ui_port}{report_link(evaluation['run']['id'])}"


def show_failure(home: Home, api: AirflowApi, run: DagRun, console: Console) -> None:
    instances = api.call("GET", f"{run.path}/taskInstances", limit=100)["task_instances"]
    for instance in [i for i in instances if i["state"] == "failed"]:
        console.print(f"\n[red]Task {instance['task_id']} failed.[/] The end of its log:")
        for line in log_lines(api, run, instance)[-LOG_LINES:]:
            console.print(f"  {escape(line)}")
    console.print(f"\nThe run failed: {run.page(home)}\nFix the cause; then `sailplane up` runs it again.")


def log_lines(api: AirflowApi, run: DagRun, instance: dict[str, Any]) -> list[str]:
    path = f"{run.path}/taskInstances/{instance['task_id']}/logs/{max(instance['try_number'], 1)}"
    content = (api.find(path, map_index=instance["map_index"], full_content=True) or {}).get("content") or []
    lines = [line if isinstance(line, str) else _logged(line) for line in content]
    return [line for line in lines if line and not line.startswith(NOISE)]


def _logged(entry: dict[str, Any]) -> str:
    errors = [f"{e.get('exc_type')}: {e.get('exc_value')}" for e in entry.get("error_detail") or ()]
    return " ".join([str(entry.get("event", "")), *errors])


def _numbers(values: Any) -> str:
    texts = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in values.values())
    return ", ".join(f"{name} {text}" for name, text in zip(values, texts, strict=True))


def _show_prediction(home: Home, model: str, console: Console) -> None:
    deployment = served(home, model)
    if deployment is None:
        console.print(f"\nNo version of {model} is served.")
        return
    request = curl(home, deployment, body := example(home, deployment))
    console.print(f"\n[bold]{deployment.name} {deployment.version}[/] is served. Query it:\n")
    console.print(request, markup=False)
    console.print(f"\n{ask(deployment, body, authorization(home))}", markup=False)
