"""Steps of users and of their DAGs: data, models, serving."""

from __future__ import annotations

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sailplane.deployment.rollout import records
from sailplane.errors import ModelError
from sailplane.records import Evaluation
from sailplane.registry.models import alias, versions
from tests.states import deeds, truths
from tests.states.machine import VALUES, Machine

HOLD = st.sampled_from([True, True, True, False])
BIASES = st.sampled_from([0.0, 0.1, 0.2, 0.3])


class Users(Machine):
    @rule(value=VALUES)
    def a_day_passes(self, value: int) -> None:
        self.count("a day passes")
        self.world.pass_a_day(value)

    @rule(back=st.integers(1, deeds.WINDOW_DAYS), value=VALUES)
    def the_source_is_corrected(self, back: int, value: int) -> None:
        self.count("the source is corrected")
        self.world.write(self.world.today - back, value)

    @rule()
    def ingest(self) -> None:
        self.count("ingest")
        self.world.dataset = self.undamaged(deeds.ingest, self.home, self.world.source, self.world.today)
        if self.world.dataset:
            self.undamaged(truths.check_rows, self.world, self.world.dataset)

    @precondition(lambda self: self.world.dataset)
    @rule(bias=BIASES)
    def train(self, bias: float) -> None:
        self.count("train")
        run = self.undamaged(deeds.train, self.home, self.world.next_run(), self.world.dataset, {"bias": bias})
        if run:
            self.world.keep(run)

    @precondition(lambda self: self.world.trained)
    @rule(data=st.data())
    def judge(self, data: st.DataObject) -> None:
        self.count("judge")
        run = self.world.trained.pop(data.draw(st.integers(0, len(self.world.trained) - 1), label="run"))
        if judged := self.undamaged(deeds.judge, self.home, run):
            self.world.judged.append(judged)

    @precondition(lambda self: self.world.judged)
    @rule(data=st.data())
    def deploy(self, data: st.DataObject) -> None:
        self.count("deploy")
        self.deploy_or_refuse(self.one_of_the_newest(data))

    @precondition(lambda self: len(self.world.judged) > 1)
    @rule(approved=st.booleans())
    def a_person_answers(self, approved: bool) -> None:
        """A model that waits for approval serves only if it is approved."""
        self.count("approve" if approved else "refuse")
        evaluation = self.world.judged.pop()
        answered = self.undamaged(deeds.answer, self.home, evaluation, approved)
        if answered is None:
            self.world.judged.append(evaluation)
            return
        if not approved:
            return
        self.world.judged.append(answered)
        self.deploy_or_refuse(answered)

    def deploy_or_refuse(self, evaluation: Evaluation) -> None:
        """During a hold only a model that a person approved after the rollback is deployed, which lifts the hold."""
        if self.world.blocked:
            self.refused(self.deploy_now, evaluation)
        elif self.is_held(evaluation):
            self.count("deploy what is held")
            known = {version.model.version: version.aliases for version in versions(self.world.ledger)}
            self.refused(self.deploy_now, evaluation)
            assert {version.model.version: version.aliases for version in versions(self.world.ledger)} == known
        elif (version := self.undamaged(self.deploy_now, evaluation)) is not None:
            self.deployed(version)
            self.lifted(evaluation)

    @precondition(lambda self: self.world.judged)
    @rule(data=st.data())
    def roll_out(self, data: st.DataObject) -> None:
        self.count("roll out")
        evaluation, clock = self.one_of_the_newest(data), self.world.clock
        if self.world.blocked and self.world.phase != "rolling back":
            self.refused(deeds.roll_out, self.home, clock, evaluation, self.world.next_run())
            return
        if self.is_held(evaluation):
            self.count("roll out what is held")
            self.refused(deeds.roll_out, self.home, clock, evaluation, self.world.next_run())
            return
        # A rollout that is already rolling back is finished first.
        if self.undamaged(deeds.roll_out, self.home, clock, evaluation, self.world.next_run()):
            self.lifted(evaluation)
        self.end_if_over()

    @precondition(lambda self: self.world.rolling_out)
    @rule(requests=st.integers(0, 8))
    def the_triggerer_looks(self, requests: int) -> None:
        self.count("the triggerer looks")
        for _ in range(requests):
            assert self.world.ask().status in (200, 0 if self.world.champion is None else 200)
        entry = records.active(self.world.ledger, deeds.NAME)
        self.undamaged(deeds.look, self.home, self.world.clock)
        self.end_if_over()
        if entry is not None and entry.subject.back:
            self.may_hold()

    @precondition(lambda self: self.world.champion)
    @rule(hold=HOLD)
    def roll_back(self, hold: bool) -> None:
        """A rollback serves a version that served before and was never rolled back."""
        self.count("roll back")
        was, bad, before = self.world.hold, self.rolled_back(), records.active(self.world.ledger, deeds.NAME)
        try:
            version = self.undamaged(deeds.go_back, self.home, self.world.clock, None, hold)
        except ModelError:
            # No version is left that served before and was never rolled back.
            assert alias(self.world.ledger, deeds.NAME, "previous") is None
            version = None
        if version is None:
            self.end_if_over()
            self.may_hold()
            return
        self.deployed(version)
        assert before is not None or version not in bad
        self.may_hold()
        if hold:
            assert self.world.hold is not None
            ended_only = self.world.hold.version == self.world.hold.serves
            assert ended_only or self.world.hold.version in self.rolled_back()
        else:
            assert self.world.hold == was

    @precondition(lambda self: self.world.champion and self.world.settled and not self.world.rolling_out)
    @rule(data=st.data())
    def roll_back_to_a_version_that_was_rolled_back(self, data: st.DataObject) -> None:
        """A person may name such a version, which removes its mark."""
        bad = sorted(self.rolled_back() - {self.world.champion})
        assume(bad)
        self.count("roll back to a version that was rolled back")
        version = data.draw(st.sampled_from(bad), label="version")
        went = self.undamaged(deeds.go_back, self.home, self.world.clock, version)
        if went is not None:
            self.deployed(went)
            assert went == version
            assert version not in self.rolled_back()
        self.may_hold()

    @precondition(lambda self: self.world.hold)
    @rule()
    def release(self) -> None:
        self.count("release")
        self.released()
        with pytest.raises(ModelError, match="its deployments are not held"):
            deeds.release(self.home)

    def rolled_back(self) -> set[str]:
        return {one.model.version for one in versions(self.world.ledger) if one.rolled_back}
