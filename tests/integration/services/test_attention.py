"""The things that need a person according to `sailplane status`, with real runs. The tests run in order, and each one
mends one thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sailplane.evaluation import history
from sailplane.ledger import Ledger
from sailplane.records import Rule
from sailplane.registry import holds
from sailplane.services.airflow_api import DagRun
from tests.platform import Platform, started, until
from tests.unit.evaluation.test_history import judged

BROKEN = "import no_such_package\nfrom airflow.sdk import dag\n"
FAILS = """
from airflow.sdk import Param, dag, task


@dag(params={"fail": Param(True, type="boolean")})
def fails():
    @task
    def greet(params):
        if params["fail"]:
            raise ValueError("there is nobody to greet")

    greet()


fails()
"""
ASKS = """
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import dag


@dag
def asks():
    ApprovalOperator(task_id="ask", subject="May this model serve?")


asks()
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    project = tmp_path_factory.mktemp("project")
    for name, text in {"dags/fails.py": FAILS, "dags/asks.py": ASKS, "include/README.md": ""}.items():
        file = project / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    faster = {"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5", "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5"}
    with started(tmp_path_factory.mktemp("services") / "home", project, **faster) as running:
        yield running


def status(platform: Platform) -> tuple[int, dict[str, Any], str]:
    """Returns the exit code, the JSON and the text."""
    plain, told = platform.sailplane("status"), platform.sailplane("status", "--json")
    assert plain.returncode == told.returncode, f"{plain.stdout}{plain.stderr}{told.stderr}"
    return plain.returncode, json.loads(told.stdout), plain.stdout


def import_errors(platform: Platform) -> list[dict[str, Any]]:
    """Returns those that Airflow lists: a poll costs a hundredth of the command `status`."""
    return list(platform.api("GET", "/importErrors")["import_errors"])


def questions(platform: Platform) -> list[dict[str, Any]]:
    """Returns the unanswered questions that Airflow lists."""
    return list(platform.api("GET", "/dags/~/dagRuns/~/hitlDetails", response_received=False)["hitl_details"])


def test_where_nothing_needs_a_person_the_exit_code_is_0(platform: Platform) -> None:
    code, told, said = status(platform)
    assert code == 0, said
    names = ("failed_runs", "import_errors", "waiting_for_approval", "holds", "rejected", "rollouts")
    assert [told[name] for name in names] == [[]] * 6
    assert told["airflow"] is None


def test_failed_runs_count_until_a_later_run_succeeds(platform: Platform) -> None:
    first, second = (platform.trigger("fails") for _ in range(2))
    assert [platform.wait(run) for run in (first, second)] == ["failed", "failed"]
    code, told, said = status(platform)
    [failed] = told["failed_runs"]
    assert code == 1
    assert (failed["dag"], failed["tasks"], failed["failures"], failed["last_success"]) == ("fails", ["greet"], 2, None)
    assert failed["run"] in (first.id, second.id)
    assert f"FAILED RUN of fails: {failed['run']}, task greet; 2 failed and none succeeded\n  {failed['page']}" in said
    assert platform.wait(platform.trigger("fails", {"fail": False})) == "success"
    assert status(platform)[0] == 0
    assert platform.wait(platform.trigger("fails")) == "failed"
    code, told, said = status(platform)
    assert (code, told["failed_runs"][0]["failures"]) == (1, 1)
    assert "; since the last success (20" in said
    platform.api("PATCH", DagRun("fails", told["failed_runs"][0]["run"]).path, {"state": "success"})
    assert status(platform)[0] == 0


def test_a_file_that_cannot_be_imported_is_named_with_the_reason(platform: Platform) -> None:
    file = platform.home.project / "dags" / "broken.py"
    file.write_text(BROKEN)
    until(lambda: import_errors(platform) or None, 120, "the import error")
    code, told, said = status(platform)
    [error] = told["import_errors"]
    assert code == 1
    assert error["file"].endswith("broken.py")
    assert f"IMPORT ERROR in {error['file']}: ModuleNotFoundError: No module named 'no_such_package'" in said
    file.unlink()
    until(lambda: None if import_errors(platform) else True, 120, "the end of the import error")
    assert status(platform)[0] == 0


def test_a_question_counts_until_it_is_answered(platform: Platform) -> None:
    run = platform.trigger("asks")
    until(lambda: questions(platform) or None, 120, "the question")
    code, told, said = status(platform)
    [asked] = told["waiting_for_approval"]
    assert code == 1
    assert (asked["dag"], asked["run"], asked["task"]) == ("asks", run.id, "ask")
    assert f": May this model serve? (run {run.id} of asks)\n  http://localhost:" in said
    answer = {"chosen_options": ["Approve"], "params_input": {}}
    platform.api("PATCH", f"{run.path}/taskInstances/ask/-1/hitlDetails", answer)
    assert platform.wait(run) == "success"
    assert status(platform)[0] == 0


def test_a_rejected_model_is_named_with_the_rules_that_failed_and_needs_nobody(platform: Platform) -> None:
    rules = (
        Rule(name="minimum", passed=False, got="auc 0.5000", expected="at least 0.5500"),
        Rule(name="serves", passed=True, got="its scores", expected="these scores"),
    )
    good, bad = judged(0, kind="scheduled"), judged(1, kind="scheduled")
    past = judged(2)
    ledger = Ledger.at(platform.home)
    for one in (good, replace(bad, evaluation=replace(bad.evaluation, passed=False, rules=rules)), past):
        history.keep(ledger, one)
    code, told, said = status(platform)
    assert code == 0
    assert told["rejected"] == [
        {
            "model": "toy",
            "dag": bad.dag,
            "run": bad.dag_run,
            "as_of": bad.evaluation.run.as_of.isoformat(),
            "reasons": ["minimum: auc 0.5000, expected at least 0.5500"],
            "offer": None,
            "deploy": None,
        }
    ]
    assert "\nREJECTED: toy as of 20" in said
    assert "\n  minimum: auc 0.5000, expected at least 0.5500\n" in said


def test_a_hold_needs_a_person(platform: Platform) -> None:
    with Ledger.at(platform.home).begin() as connection:
        holds.hold_within(connection, holds.Hold("toy", 0.0, "ada", "v2", "v1"))
    code, told, _ = status(platform)
    assert (code, told["holds"][0]["model"]) == (1, "toy")
    assert platform.sailplane("release", "toy").returncode == 0
    assert status(platform)[0] == 0


def test_without_airflow_what_it_would_say_is_not_known(platform: Platform) -> None:
    assert platform.sailplane("down").returncode == 0
    code, told, said = status(platform)
    assert code == 1
    assert told["failed_runs"] is told["import_errors"] is told["waiting_for_approval"] is None
    assert "reach http://127.0.0.1:" in told["airflow"]
    assert "\nFailed runs, import errors and pending approvals are unknown: reach http" in said
