"""A person approves or rejects, in Airflow's UI, a model that passed. A backtest asks nobody and changes nothing. The
tests run in the order of the file.

It takes about five minutes: the DAG runs about ten times, one run at a time, for each answer, the deadline, and each
day of the backtest."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from sailplane.bundles.bundle import TOLERANCE
from sailplane.bundles.columns import plain_records
from sailplane.datasets import load as load_rows
from sailplane.deployment.local.endpoint import deployments
from sailplane.errors import ServiceError
from sailplane.evaluation.history import Judged, verdicts
from sailplane.ledger import Ledger
from sailplane.predictions import load
from sailplane.records import Deployment, Evaluation, Interval, Predictions
from sailplane.registry.models import alias
from sailplane.services.airflow_api import DagRun
from sailplane.storage import Storage
from tests.browser.chromium import opened_page
from tests.end_to_end.faults import FAULTY, ask, asking, instance, spoil
from tests.platform import Platform, started, until

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# These tests look at a model that was approved in a browser.
IN_BROWSER = pytest.mark.needs("chromium")
PERIOD = ("--from", "2026-10-01", "--to", "2026-10-02")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Airflow checks deadlines every second instead of every 15 seconds."""
    folder = tmp_path_factory.mktemp("approval")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "project" / "faults").mkdir()
    settings = {"AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1"}
    with started(folder / "home", folder / "project", **settings) as running:
        yield running


def question(run: DagRun) -> str:
    return f"{run.path}/taskInstances/approve/-1/hitlDetails"


def answer(platform: Platform, run: DagRun, chosen: str, note: str) -> None:
    """Answers the question with the request that the UI sends."""
    platform.api("PATCH", question(run), {"chosen_options": [chosen], "params_input": {"note": note}})


def judged(platform: Platform, run: DagRun, as_of: datetime) -> Judged:
    day = Interval(start=as_of - DAY, end=as_of)
    (found,) = (one for one in verdicts(Ledger.at(platform.home), run.dag, day) if one.dag_run == run.id)
    return found


def reasons(platform: Platform, run: DagRun, task: str) -> list[str]:
    return list(platform.api("GET", f"{run.path}/taskInstances/{task}/xcomEntries/reasons")["value"])


@pytest.fixture(scope="module")
def questions(platform: Platform) -> tuple[DagRun, DagRun]:
    """Starts two runs. The newer run is queued until the older question is gone, because the DAG runs one at a time."""
    return asking(platform, AS_OF - DAY), asking(platform, AS_OF)


def test_a_newer_run_takes_the_place_of_the_question_and_starts(
    platform: Platform, questions: tuple[DagRun, DagRun]
) -> None:
    run, newer = questions
    assert platform.wait(run) == "success"
    assert platform.tasks(run)["deploy"] == ["skipped"]
    assert reasons(platform, run, "deploy")[0] == f"rejected by a newer run: {newer.id}"
    with pytest.raises(ServiceError, match="409"):
        answer(platform, run, "Approve", "too late")


def test_the_wait_holds_no_worker_and_a_rejection_deploys_nothing(
    platform: Platform, questions: tuple[DagRun, DagRun]
) -> None:
    """It takes most of a minute: a run of the DAG waits for the answer."""
    _, run = questions
    pool = platform.api("GET", "/pools/default_pool")
    assert (pool["occupied_slots"], pool["running_slots"]) == (0, 0)
    pending = platform.api("GET", "/dags/~/dagRuns/~/hitlDetails", response_received=False)
    assert [one["task_instance"]["dag_run_id"] for one in pending["hitl_details"]] == [run.id], "the UI's list"
    asked = platform.api("GET", question(run))
    assert asked["subject"] == "May asked of 2026-06-01 serve?"
    assert "| challenger | " in asked["body"]
    assert "| passed | minimum | auc " in asked["body"]
    (report,) = re.findall(r"\[Full report\]\((.*)\)", asked["body"])
    with platform.http() as client:
        page = client.get(report)
    assert (page.status_code, "asked: passed" in page.text) == (200, True)

    answer(platform, run, "Reject", "too small")
    assert platform.wait(run) == "success"
    assert platform.tasks(run)["deploy"] == ["skipped"]
    assert reasons(platform, run, "deploy")[0] == "rejected by admin: too small"
    assert alias(Ledger.at(platform.home), "asked", "champion") is None
    approval = judged(platform, run, AS_OF).evaluation.approval
    assert approval is not None
    assert (approval.approved, approval.note) == (False, "too small")


def test_a_person_is_asked_about_the_baseline_if_it_is_better_and_it_is_what_is_deployed(platform: Platform) -> None:
    """It takes most of a minute: a run of the DAG waits for the answer, and then deploys."""
    as_of = AS_OF - 2 * DAY
    spoil(platform, as_of, "takes height the wrong way")
    run = asking(platform, as_of)
    asked = platform.api("GET", question(run))
    assert asked["subject"] == "May the baseline of asked of 2026-05-30 serve?"
    assert "| failed | baseline | auc " in asked["body"]
    assert "**The baseline is better: auc " in asked["body"]
    answer(platform, run, "Approve", "the plain one")
    assert platform.wait(run) == "success"
    trained, evaluation = platform.xcom(run, "train"), Evaluation.from_dict(platform.xcom(run, "approve"))
    assert (evaluation.run.bundle, evaluation.run.train) == (trained["baseline"], "include.tiny.model:baseline")
    champion = alias(Ledger.at(platform.home), "asked", "champion")
    assert champion
    assert champion.lineage == evaluation.run
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))
    assert deployment.version == champion.version
    assert len(ask(deployment)["ndarray"]) == 3
    told = platform.sailplane("models", "show", "asked")
    assert "| train function | `include.tiny.model:baseline` |" in told.stdout
    again = platform.sailplane("deploy", "asked", "--run", run.id)
    assert again.stdout == f"asked: {champion.version} serves, the baseline of the run {champion.run}\n", again.stderr


@pytest.fixture(scope="module")
def unanswered(platform: Platform) -> DagRun:
    """Starts a run whose question nobody answers."""
    return platform.trigger("unanswered", {"as_of": f"{AS_OF:%Y-%m-%d}"})


@pytest.fixture(scope="module")
def served(platform: Platform, unanswered: DagRun) -> Deployment:
    """Deploys a model that a person approves on the page of the question, in a real browser. Meanwhile the deadline of
    the unanswered run passes."""
    run = asking(platform, AS_OF + DAY)
    with opened_page() as page:
        page.goto(platform.link())
        page.wait_for_url(f"http://localhost:{platform.home.ui_port}/")
        page.goto(f"{run.page(platform.home)}/tasks/approve/required_actions")
        expect(page.get_by_text(f"May asked of {AS_OF + DAY:%Y-%m-%d} serve?")).to_be_visible()
        expect(page.get_by_role("cell", name="challenger", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("^passed minimum auc "))).to_be_visible()
        report = page.get_by_role("link", name="Full report")
        expect(report).to_have_attribute("href", re.compile("/sailplane/reports/"))
        page.locator("[name=element_note]").fill("looks right")
        page.get_by_role("button", name="Approve", exact=True).click()
    assert platform.wait(run) == "success"
    evaluation = Evaluation.from_dict(platform.xcom(run, "approve"))
    assert str(evaluation.approval) == "approved by admin: looks right"
    assert judged(platform, run, AS_OF + DAY).evaluation == evaluation
    with pytest.raises(ServiceError, match="409"):
        answer(platform, run, "Reject", "too late")
    return Deployment.from_dict(platform.xcom(run, "deploy"))


@IN_BROWSER
def test_what_a_person_approved_is_deployed_and_their_note_is_kept(platform: Platform, served: Deployment) -> None:
    assert deployments(Ledger.at(platform.home)) == [served]
    assert len(ask(served)["ndarray"]) == 3
    card = (platform.store / "models" / "asked" / served.version / "README.md").read_text()
    assert "Approved by admin on " in card
    assert "> looks right\n" in card


@IN_BROWSER
def test_what_is_scored_as_a_dataset_has_the_scores_that_are_served(platform: Platform, served: Deployment) -> None:
    run = platform.trigger("scored", {"as_of": f"{AS_OF + DAY:%Y-%m-%d}"})
    assert platform.wait(run) == "success"
    made = Predictions.from_dict(platform.xcom(run, "score"))
    assert (made.model, made.version, made.rows, made.rejected) == ("asked", served.version, 21 * 60, 0)
    storage = Storage(platform.home.store)
    rows, scores = load_rows(storage, made.dataset), load(storage, made)
    assert scores["time"].tolist() == rows["time"].tolist()
    known = [field for field in made.dataset.schema if field.name != "good"]
    body = {"jsonData": plain_records(rows, known)}
    reply = httpx.post(served.endpoint, json=body, trust_env=False, timeout=30)
    np.testing.assert_allclose(scores["good"], np.ravel(reply.json()["data"]["ndarray"]), rtol=0, atol=TOLERANCE)


def test_when_the_deadline_passes_the_default_is_the_answer(platform: Platform, unanswered: DagRun) -> None:
    assert platform.wait(unanswered) == "success"
    assert platform.tasks(unanswered)["approve"] == ["success"]
    assert reasons(platform, unanswered, "deploy")[0] == "rejected by the deadline: nobody answered within 10 s"
    assert alias(Ledger.at(platform.home), "unanswered", "champion") is None


@IN_BROWSER
def test_a_verdict_against_the_model_asks_nobody(platform: Platform, served: Deployment) -> None:
    """The champion has seen more days than this run. It takes half a minute: a run of the DAG."""
    run = platform.trigger("asked", {"as_of": f"{AS_OF - DAY:%Y-%m-%d}"})
    assert platform.wait(run) == "success"
    assert (platform.tasks(run)["approve"], platform.tasks(run)["deploy"]) == (["skipped"], ["skipped"])
    assert any(reason.startswith("failed: as of") for reason in reasons(platform, run, "approve"))


@pytest.fixture(scope="module")
def backtested(platform: Platform, served: Deployment) -> dict[str, Any]:
    ended = platform.sailplane("backtest", "asked", *PERIOD, "--json")
    assert ended.returncode == 0, ended.stderr + platform.service_logs()
    assert sorted(ended.stderr.splitlines()) == [f"2026-10-0{number}: success" for number in (1, 2)]
    return dict(json.loads(ended.stdout))


def backfilled(platform: Platform) -> list[DagRun]:
    found = platform.api("GET", "/dags/asked/dagRuns", run_type="backfill", order_by="logical_date")["dag_runs"]
    return [DagRun("asked", run["dag_run_id"]) for run in found]


@IN_BROWSER
def test_a_backtest_judges_each_day_by_what_was_known_then(platform: Platform, backtested: dict[str, Any]) -> None:
    assert [day["day"][:10] for day in backtested["days"]] == ["2026-10-01", "2026-10-02"]
    runs = backfilled(platform)
    assert [day["dag_run"] for day in backtested["days"]] == [run.id for run in runs]
    for day, run in zip(backtested["days"], runs, strict=True):
        evaluation = Evaluation.from_dict(platform.xcom(run, "evaluate"))
        assert f"{evaluation.window.end:%Y-%m-%d}" == day["as_of"][:10]
        assert evaluation.run.dataset.interval.end == evaluation.window.end
        assert day["pipeline"] == evaluation.metrics["challenger"]
    assert backtested["days"][0]["ships"], "in the backtest there is no champion yet"


@IN_BROWSER
def test_a_backtest_asks_nobody_deploys_nothing_and_moves_no_alias(
    platform: Platform, served: Deployment, backtested: dict[str, Any]
) -> None:
    for run in backfilled(platform):
        assert (platform.tasks(run)["approve"], platform.tasks(run)["deploy"]) == (["skipped"], ["skipped"])
        assert platform.api("GET", f"{run.path}/hitlDetails")["total_entries"] == 0
    assert deployments(Ledger.at(platform.home)) == [served]
    champion = alias(Ledger.at(platform.home), "asked", "champion")
    assert champion is not None
    assert champion.version == served.version


def partitions(platform: Platform) -> dict[Path, int]:
    """Returns every file with the time when it was written."""
    folder = platform.store / "datasets" / "tiny" / "partitions"
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


@IN_BROWSER
def test_what_ran_is_not_repeated_unless_asked_for_and_no_day_is_ingested_twice(
    platform: Platform, backtested: dict[str, Any]
) -> None:
    """It takes more than a minute: the backtest runs the DAG again for each day."""
    before, runs = partitions(platform), backfilled(platform)
    assert {len(list(file.parent.iterdir())) for file in before} == {2}, "a day is one file of rows, and its marker"
    again = platform.sailplane("backtest", "asked", *PERIOD, "--json")
    assert (again.returncode, again.stderr, json.loads(again.stdout)) == (0, "", backtested)
    assert {instance(platform, run, "train")["try_number"] for run in runs} == {1}

    repeated = platform.sailplane("backtest", "asked", *PERIOD, "--json", "--again", "--max-active", "2")
    assert (repeated.returncode, json.loads(repeated.stdout)) == (0, backtested), repeated.stderr
    assert {instance(platform, run, "train")["try_number"] for run in runs} == {2}
    assert partitions(platform) == before


@pytest.fixture
def running(platform: Platform, backtested: dict[str, Any]) -> Iterator[None]:
    """Starts a backfill that does not continue."""
    body = {"dag_id": "asked", "from_date": "2026-09-01T00:00:00Z", "to_date": "2026-09-02T00:00:00Z"}
    made = until(lambda: created(platform, body), 60, "the end of the backfill before")
    platform.api("PATCH", "/dags/asked", {"is_paused": True})
    platform.api("PUT", f"/backfills/{made['id']}/pause")
    platform.api("PATCH", "/dags/asked", {"is_paused": False})
    yield
    platform.api("PUT", f"/backfills/{made['id']}/cancel")


def created(platform: Platform, body: dict[str, Any]) -> dict[str, Any] | None:
    """Returns None until Airflow has noticed that the last backfill has ended."""
    try:
        return dict(platform.api("POST", "/backfills", body))
    except ServiceError:
        return None


@IN_BROWSER
@pytest.mark.usefixtures("running")
def test_beside_a_backfill_that_runs_there_is_no_other(platform: Platform) -> None:
    ended = platform.sailplane("backtest", "asked", "--from", "2026-08-01", "--to", "2026-08-02")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "sailplane: backtest asked: another backfill of this DAG is running. "
        "Wait until it ends, or cancel it in Airflow's UI.\n"
    )


@pytest.mark.parametrize(
    ("dag", "said"),
    [
        ("nothing", "find DAG nothing: no DAG with that name. `sailplane airflow dags list` lists them."),
        (
            "struck",
            "backtest struck: it is paused, so its runs would wait. Switch it on in Airflow, or pass --no-run.",
        ),
        ("tiny", "backtest tiny: tiny has a non-periodic schedule that does not support backfills."),
    ],
)
def test_a_dag_that_cannot_be_backtested_is_one_line(platform: Platform, dag: str, said: str) -> None:
    until(lambda: platform.airflow.find("/dags/tiny"), 60, "the DAG tiny")
    platform.api("PATCH", "/dags/tiny", {"is_paused": False})
    ended = platform.sailplane("backtest", dag, *PERIOD)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"sailplane: {said}\n")
