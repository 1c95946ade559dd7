"""Steps of users and of their DAGs: data, models, serving."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sailplane.errors import ModelError
from tests.states import deeds, truths
from tests.states.machine import VALUES, Machine

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
        evaluation = self.one_of_the_newest(data)
        if self.world.rolling_out:
            self.refused(deeds.deploy, self.home, evaluation)
        else:
            self.deployed(self.undamaged(deeds.deploy, self.home, evaluation))

    @precondition(lambda self: len(self.world.judged) > 1)
    @rule(approved=st.booleans())
    def a_person_answers(self, approved: bool) -> None:
        """A model that waits for approval serves if it gets it, and else never does."""
        self.count("approve" if approved else "refuse")
        evaluation = self.world.judged.pop()
        answered = self.undamaged(deeds.answer, self.home, evaluation, approved)
        if answered is None:
            self.world.judged.append(evaluation)
            return
        if not approved:
            return
        self.world.judged.append(answered)
        if self.world.rolling_out:
            self.refused(deeds.deploy, self.home, answered)
        else:
            self.deployed(self.undamaged(deeds.deploy, self.home, answered))

    @precondition(lambda self: self.world.judged)
    @rule(data=st.data())
    def roll_out(self, data: st.DataObject) -> None:
        self.count("roll out")
        evaluation, clock = self.one_of_the_newest(data), self.world.clock
        if self.world.phase not in (None, "rolling back"):
            self.refused(deeds.roll_out, self.home, clock, evaluation, self.world.next_run())
            return
        # A rollout that is already rolling back is finished first.
        self.undamaged(deeds.roll_out, self.home, clock, evaluation, self.world.next_run())
        self.end_if_over()

    @precondition(lambda self: self.world.rolling_out)
    @rule(requests=st.integers(0, 8))
    def the_triggerer_looks(self, requests: int) -> None:
        self.count("the triggerer looks")
        for _ in range(requests):
            assert self.world.ask().status in (200, 0 if self.world.champion is None else 200)
        self.undamaged(deeds.look, self.home, self.world.clock)
        self.end_if_over()

    @precondition(lambda self: self.world.champion)
    @rule()
    def roll_back(self) -> None:
        self.count("roll back")
        try:
            self.deployed(self.undamaged(deeds.go_back, self.home, self.world.clock))
        except ModelError:
            # Nothing served before.
            self.end_if_over()
        if self.world.damaged:
            self.end_if_over()
