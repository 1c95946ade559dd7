"""A deployment at once: the version gets all the traffic once it is ready, or none."""

from __future__ import annotations

import pytest

from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import AT_ONCE, ModelEndpoint
from sailplane.deployment.rollout.state import Subject
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, HeldError, ServiceError
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry import holds
from sailplane.registry.models import get
from tests.unit.deployment.rollout.served import names
from tests.unit.deployment.rollout.simulated_target import (
    CANARY,
    CHAMPION,
    NAME,
    Clock,
    Place,
    register,
    serving_at,
)

NEWER = "v3"


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def serving(place: Place, ledger: Ledger) -> ModelEndpoint:
    register(ledger, CHAMPION, CANARY, NEWER)
    return serving_at(place, ledger, Clock(step=0.01))


@pytest.fixture
def canary(serving: ModelEndpoint) -> Model:
    return get(serving.ledger, NAME, CANARY)


def killed(serving: ModelEndpoint, *, ticks: int, owner: str = "task 1") -> Subject:
    """Leaves the canary's deployment as a kill after this many looks does."""
    begun = {"owner": owner, "turn": "the killed one", "at_once": True}
    subject = Subject(name=NAME, version=CANARY, champion=CHAMPION, endpoint="http://x", **begun)  # type: ignore[arg-type]
    repository.begin(serving.ledger, subject, AT_ONCE, serving.clock())
    driver = serving.driver(CANARY)
    for _ in range(ticks):
        driver.tick()
    return subject


def let_the_lease_end(serving: ModelEndpoint) -> None:
    serving.sleep(repository.LEASE_SECONDS + 1)


def test_the_version_gets_all_the_traffic_and_the_others_are_stopped(
    serving: ModelEndpoint, place: Place, canary: Model
) -> None:
    place.running["left over"] = VersionProgress("ready")
    deployment = serving.deploy(canary, "task 1")
    assert (deployment.version, deployment.weights, deployment.endpoint) == (CANARY, {CANARY: 100}, "http://x")
    assert place.done == [f"begin {CANARY}", "move 100", "stop left over", f"stop {CHAMPION}"]
    assert names(serving.ledger) == {"champion": CANARY, "previous": CHAMPION}


def test_a_version_that_fails_is_removed_and_the_next_try_begins_anew(
    serving: ModelEndpoint, place: Place, canary: Model
) -> None:
    place.running[CANARY] = VersionProgress("failed", "no luck")
    with pytest.raises(
        DeploymentError, match=r"deploy m v2: the version does not run: no luck\. The served version is unchanged"
    ):
        serving.deploy(canary, "task 1")
    assert place.split() == TrafficSplit({CHAMPION: 100})
    assert list(place.running) == [CHAMPION]
    assert serving.deploy(canary, "task 1").version == CANARY
    assert serving.entry(CANARY).attempt == 2


@pytest.mark.parametrize("ticks", range(4))
def test_a_retry_goes_on_where_a_killed_try_stopped(
    serving: ModelEndpoint, place: Place, canary: Model, ticks: int
) -> None:
    killed(serving, ticks=ticks)
    assert serving.deploy(canary, "task 1").version == CANARY
    assert place.done.count(f"begin {CANARY}") == 1
    assert (serving.entry(CANARY).attempt, serving.entry(CANARY).subject.turn) == (1, "the killed one")


def test_another_deployment_is_refused_while_the_process_lives_and_takes_back_what_a_killed_one_left(
    serving: ModelEndpoint, place: Place
) -> None:
    killed(serving, ticks=1)
    newer = get(serving.ledger, NAME, NEWER)
    refusal = r"a rollout of v2 is running \(starting\), started by task 1\. .*rollback m"
    with pytest.raises(DeploymentError, match=f"deploy m: {refusal}"):
        serving.deploy(newer, "task 2")
    with pytest.raises(DeploymentError, match=refusal):
        serving.begin(Rollout(), newer, "task 2")
    let_the_lease_end(serving)
    assert serving.deploy(newer, "task 2").version == NEWER
    assert list(place.running) == [NEWER]
    ended = serving.entry(CANARY).state
    assert (ended.phase, ended.reason) == ("failed", "its deployment was interrupted")


def test_a_rollout_takes_back_what_a_killed_deployment_left(serving: ModelEndpoint, place: Place) -> None:
    killed(serving, ticks=1)
    let_the_lease_end(serving)
    serving.begin(Rollout(), get(serving.ledger, NAME, NEWER), "task 2")
    assert serving.entry(CANARY).state.phase == "failed"
    assert list(place.running) == [CHAMPION, NEWER]


def test_what_a_killed_deployment_had_promoted_is_ended_before_the_next_one(
    serving: ModelEndpoint, place: Place
) -> None:
    def die(verb: str) -> None:
        if verb == "stop":
            raise KeyboardInterrupt

    place.before = die
    with pytest.raises(KeyboardInterrupt):
        killed(serving, ticks=9)
    place.before = lambda _verb: None
    assert serving.entry(CANARY).state.phase == "promoting"
    let_the_lease_end(serving)
    assert serving.deploy(get(serving.ledger, NAME, NEWER), "task 2").version == NEWER
    assert serving.entry(CANARY).state.phase == "succeeded"
    assert names(serving.ledger) == {"champion": NEWER, "previous": CANARY}


def test_an_error_takes_the_version_back_and_says_so(serving: ModelEndpoint, place: Place, canary: Model) -> None:
    def fail(verb: str) -> None:
        if verb == "progress":
            raise ServiceError("ask", "the cluster", got="nobody answers")

    place.before = fail
    with pytest.raises(ServiceError, match="nobody answers"):
        serving.deploy(canary, "task 1")
    state = serving.entry(CANARY).state
    assert (state.phase, state.reason) == ("failed", "its deployment failed: ask the cluster: nobody answers.")
    assert list(place.running) == [CHAMPION]


def test_what_cannot_be_taken_back_is_named_and_left_to_the_next_deployment(
    serving: ModelEndpoint, place: Place, canary: Model
) -> None:
    def fail(verb: str) -> None:
        if verb in ("progress", "stop"):
            raise ServiceError(verb, "v2", got="nobody answers")

    place.before = fail
    with pytest.raises(ServiceError, match="progress v2: nobody answers") as failed:
        serving.deploy(canary, "task 1")
    [note] = failed.value.__notes__
    assert note == ("It was not rolled back: stop v2: nobody answers. The next deployment of m ends it.")
    place.before = lambda _verb: None
    assert serving.deploy(get(serving.ledger, NAME, NEWER), "task 2").version == NEWER
    assert list(place.running) == [NEWER]


def test_a_rollback_meanwhile_holds_the_model_and_the_deployment_says_so(
    serving: ModelEndpoint, place: Place, canary: Model
) -> None:
    def meanwhile(verb: str) -> None:
        if verb == "begin":
            place.after = lambda _verb: None
            roll_back(serving, "ada")

    place.after = meanwhile
    with pytest.raises(HeldError, match="when ada rolled back v2 to v1"):
        serving.deploy(canary, "task 1")
    assert list(place.running) == [CHAMPION]
    assert holds.find(serving.ledger, NAME)
    assert records.active(serving.ledger, NAME) is None
