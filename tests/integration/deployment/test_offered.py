"""`sailplane deploy`: a baseline that a verdict offers, behind the real router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.cli import main
from sailplane.datasets import ingest
from sailplane.deployment.local.endpoint import deployments, endpoint
from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import AT_ONCE, ModelEndpoint
from sailplane.deployment.rollout.state import Subject
from sailplane.evaluation import evaluate, history
from sailplane.evaluation.history import Judged
from sailplane.evaluation.outdated import outdated
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Evaluation, Interval, Model
from sailplane.registry import holds, models
from sailplane.registry.garbage import Collector
from sailplane.services.attention import rejected
from sailplane.storage import Storage
from tests.homes import new_home
from tests.unit.evaluation.toy import AS_OF, SCHEMA, Toy, extract

GOOD, BAD, BLUE_ONLY = [[1.0], [0.0]], [[-1.0], [0.0]], [[1.0], [-2.0]]
Deploy = Callable[..., str]


@pytest.fixture
def toy(home: Home, ledger: Ledger, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("SAILPLANE_PROJECT", str(home.project))
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    monkeypatch.setenv("SAILPLANE_ROUTER_PORT", str(home.router_port))
    new_home(home)
    interval = Interval.trailing(AS_OF, 28)
    data = ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)
    return Toy(storage, ledger, data, tmp_path)


@pytest.fixture
def deploy(toy: Toy, capsys: pytest.CaptureFixture[str]) -> Deploy:
    """Returns the command's output, or stderr if it fails."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["deploy", "toy", *arguments]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


def offered(toy: Toy, name: str = "new", dag_run: str = "scheduled__1", **how: Any) -> Evaluation:
    """Makes a verdict and keeps it as the task `evaluate` does."""
    run, kind = toy.beside(name, BLUE_ONLY, how.pop("baseline", GOOD)), how.pop("kind", "scheduled")
    got = evaluate(toy.storage, run=run, baseline=run.baseline, baseline_of=run, **how)
    assert not got.passed
    day = run.dataset.interval.days[-1]
    history.keep(toy.ledger, Judged(dag="toy", dag_run=dag_run, kind=kind, day=day, evaluation=got), toy.storage)
    return got


def served_version(home: Home) -> str:
    url = f"http://127.0.0.1:{home.router_port}/seldon/local/toy/api/v1.0/predictions"
    answer = httpx.post(url, json={"jsonData": {"height": 0.5, "colour": "red"}})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-sailplane-version"]


def champion(toy: Toy) -> Model | None:
    return models.alias(toy.ledger, "toy", "champion")


def serve(toy: Toy, home: Home, model: Model) -> None:
    ModelEndpoint.local(home, toy.ledger, toy.storage, "toy").deploy(model, "the test")


def test_the_offered_baseline_takes_the_place_of_the_champion(toy: Toy, platform: Home, deploy: Deploy) -> None:
    before = toy.registered(toy.train("before", BAD))
    serve(toy, platform, before)
    offer = offered(toy, champion=before).offer
    assert offer
    [waits] = rejected(toy.ledger)
    assert (waits["offer"], waits["deploy"]) == (offer.message, "sailplane deploy toy")
    assert deploy() == f"toy: {offer.version} serves, the baseline of the run new\n"
    assert served_version(platform) == offer.version
    now, previous = champion(toy), models.alias(toy.ledger, "toy", "previous")
    assert now
    assert previous
    assert (now.version, previous.version) == (offer.version, before.version)
    assert now.lineage == offer.evaluation.run
    assert now.metrics == offer.evaluation.metrics["challenger"]
    assert [one.version for one in deployments(toy.ledger)] == [offer.version]
    # The person who decided is recorded with the version and with the verdict, of which the store has a copy.
    judged = history.find(toy.ledger, "toy")
    assert judged
    assert judged.evaluation.offer
    for kept in (now.evaluation, judged.evaluation.offer.evaluation):
        assert kept
        assert kept.approval
        assert (kept.approval.approved, kept.approval.by_person) == (True, True)
    assert Judged.from_dict(toy.storage.read_json(history.copy_path(judged), dict, "")) == judged
    [serves] = rejected(toy.ledger)
    assert (serves["offer"], serves["deploy"]) == (f"Its baseline, version {offer.version}, serves.", None)
    assert deploy() == f"toy: {offer.version} serves, the baseline of the run new\n", "a second time changes nothing"
    assert main(["rollback", "toy"]) == 0
    assert served_version(platform) == before.version


def test_a_first_model_may_be_a_baseline(toy: Toy, platform: Home, deploy: Deploy) -> None:
    offer = offered(toy).offer
    assert offer
    deploy("--run", "scheduled__1")
    assert served_version(platform) == offer.version


def test_a_persons_deployment_lifts_a_hold_and_an_unchanged_offer_can_be_deployed_again_after_a_rollback(
    toy: Toy, platform: Home, deploy: Deploy
) -> None:
    before = toy.registered(toy.train("before", BAD))
    serve(toy, platform, before)
    offer = offered(toy, champion=before).offer
    assert offer
    deploy()
    assert main(["rollback", "toy"]) == 0
    assert holds.find(toy.ledger, "toy")
    deploy()
    assert served_version(platform) == offer.version
    assert holds.find(toy.ledger, "toy") is None
    assert main(["rollback", "toy", "--no-hold"]) == 0
    assert served_version(platform) == before.version
    assert holds.find(toy.ledger, "toy") is None


def test_a_running_rollout_is_not_interrupted(toy: Toy, platform: Home, deploy: Deploy) -> None:
    before, canary = (toy.registered(toy.train(name, BAD)) for name in ("before", "canary"))
    serve(toy, platform, before)
    offer = offered(toy, champion=before).offer
    assert offer
    there = ModelEndpoint.local(platform, toy.ledger, toy.storage, "toy")
    there.begin(Rollout(steps=(10, 100), bake="1h"), canary, "a task")
    assert "started by a task. Wait for it, or end it: `sailplane rollback toy`." in deploy(code=1)
    assert records.active(toy.ledger, "toy")
    assert offer.version not in {one.model.version for one in models.versions(toy.ledger, "toy")}, "nothing is done"


def test_a_deployment_that_was_killed_goes_on(toy: Toy, platform: Home, deploy: Deploy) -> None:
    """Continues the state of the ledger after the kill: registered and begun."""
    from sailplane.commands.rollback import person

    offer = offered(toy).offer
    assert offer
    model = models.register(toy.ledger, toy.storage, offer.evaluation.run, None, offer.evaluation)
    begun = {"owner": person(), "turn": "the killed one", "at_once": True}
    subject = Subject(name="toy", version=model.version, champion=None, endpoint=endpoint(platform, "toy"), **begun)
    repository.begin(toy.ledger, subject, AT_ONCE)
    deploy()
    assert served_version(platform) == offer.version
    entry = records.find(toy.ledger, "toy", offer.version)
    assert entry
    assert (entry.subject.turn, entry.attempt) == ("the killed one", 1)


def test_the_answer_of_a_deployment_that_was_killed_after_its_end_is_kept(
    toy: Toy, platform: Home, deploy: Deploy
) -> None:
    verdict = offered(toy)
    deploy()
    # Killed before the verdict was changed.
    history.amend(toy.ledger, "toy", "scheduled__1", verdict)
    deploy()
    judged = history.find(toy.ledger, "toy")
    assert judged
    assert judged.evaluation.offer
    assert judged.evaluation.offer.evaluation.approval
    assert len(records.decisions(toy.ledger, "toy", judged.evaluation.offer.version)) == 3, "nothing is begun again"


def test_status_prints_the_offer_with_the_command(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    offer = offered(toy).offer
    assert offer
    assert main(["status"]) == 1, "the services are down"
    said = capsys.readouterr().out
    assert "\nREJECTED: toy as of 2026-03-01 (run scheduled__1 of toy)\n  baseline: auc 0." in said
    assert f"\n  {offer.reason} Deploy it with `sailplane deploy toy`.\n" in said


def test_without_the_services_nothing_is_deployed(toy: Toy, deploy: Deploy) -> None:
    offered(toy)
    assert "make up" in deploy(code=1)
    assert champion(toy) is None


def test_without_an_offer_the_error_says_why(toy: Toy, deploy: Deploy) -> None:
    assert "deploy the baseline of toy: no run has judged it. `sailplane status` lists" in deploy(code=1)
    got = offered(toy, baseline=[[1.0], [-2.0]], gate=None, champion=toy.registered(toy.train("same", GOOD)))
    assert got.offer is None
    said = deploy(code=1)
    assert "toy: run scheduled__1 of toy: its verdict offers no baseline. The task `deploy` of a run serves" in said
    assert "`--run RUN` names the verdict of another run." in said
    assert "toy: no run manual__7 has judged it." in deploy("--run", "manual__7", code=1)


def test_a_newer_verdict_without_an_offer_ends_the_offer_but_its_run_can_be_named(
    toy: Toy, platform: Home, deploy: Deploy
) -> None:
    offer = offered(toy).offer
    assert offer
    offered(toy, "newer", "scheduled__2", baseline=BLUE_ONLY, champion=toy.registered(toy.train("same", GOOD)))
    assert "run scheduled__2 of toy: its verdict offers no baseline." in deploy(code=1)
    deploy("--run", "scheduled__1")
    assert served_version(platform) == offer.version


def test_an_offer_that_was_not_compared_with_the_present_champion_is_refused(toy: Toy, deploy: Deploy) -> None:
    got = offered(toy)
    since = toy.registered(toy.train("since", GOOD))
    models.promote(toy.ledger, "toy", since.version)
    said = deploy(code=1)
    assert f"the champion is {since.version} now, and this model was judged while there was none" in said
    assert "clear `evaluate` to compare it with that version." in said
    assert got.offer
    assert outdated(toy.ledger, got.offer.evaluation)
    assert [one["offer"] for one in rejected(toy.ledger)] == [None]


def test_an_offer_of_a_backfill_or_one_that_a_person_rejected_is_refused(toy: Toy, deploy: Deploy) -> None:
    offered(toy, "past", "backfill__1", kind="backfill")
    said = deploy("--run", "backfill__1", code=1)
    assert "it is a backfill, which never changes what is served. Run that day as a scheduled or a manual run." in said
    assert "no run has judged it" in deploy(code=1), "a backfill's verdict is not the newest"
    got = offered(toy)
    assert got.offer
    no = Approval(approved=False, by="Ada", note="not yet", at=AS_OF)
    history.amend(toy.ledger, "toy", "scheduled__1", replace(got, offer=got.offer.answered(no)))
    assert "its baseline was rejected by Ada: not yet. Clear `approve` to ask again." in deploy(code=1)


def test_an_offer_that_nobody_answered_in_time_stands(toy: Toy, platform: Home, deploy: Deploy) -> None:
    got = offered(toy)
    assert got.offer
    no = Approval(approved=False, by="the deadline", note="", at=AS_OF, by_person=False)
    history.amend(toy.ledger, "toy", "scheduled__1", replace(got, offer=got.offer.answered(no)))
    deploy()
    assert served_version(platform) == got.offer.version


def test_a_bundle_that_is_gone_or_another_one_is_refused(toy: Toy, platform: Home, deploy: Deploy) -> None:
    offered(toy)
    for path in list(toy.storage.list("runs/new/baseline")):
        toy.storage.delete(path)
    assert "runs/new/baseline: nothing there. Train it again." in deploy(code=1)
    toy.storage.upload(toy.folder / "new", "runs/new/baseline")
    assert "Clear the tasks that follow the train step too." in deploy(code=1)
    assert champion(toy) is None
    assert models.versions(toy.ledger, "toy") == []


def test_the_collector_keeps_the_bundle_of_an_offer(toy: Toy, home: Home) -> None:
    """The challenger is a trial of a sweep, so its own record does not name the baseline."""
    trained, trial = toy.beside("train", GOOD, GOOD), toy.train("trial", BLUE_ONLY)
    got = evaluate(toy.storage, run=trial, baseline=trained.baseline, baseline_of=trained)
    assert got.offer
    day = trial.dataset.interval.days[-1]
    history.keep(toy.ledger, Judged(dag="toy", dag_run="1", kind="scheduled", day=day, evaluation=got))
    gone = Collector(toy.ledger, toy.storage, grace_seconds=-1).find().objects
    runs = {entry.path.split("/")[1] for entry in gone if entry.path.startswith("runs/")}
    assert runs == {"train-plain"}, "a run that nothing names"
