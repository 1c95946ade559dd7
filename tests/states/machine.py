"""The world on which the steps act, and functions that all steps share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import assume, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from sailplane.errors import LedgerError, ModelError, SailplaneError
from sailplane.home import Home
from sailplane.records import Evaluation, Run
from sailplane.registry import holds
from sailplane.registry.models import alias
from sailplane.services.served import served
from tests.states import deeds, housekeeping, truths
from tests.states.apart import Outcome, apart
from tests.states.world import World

VALUES = st.integers(0, 50)


class Machine(RuleBasedStateMachine):
    world: World
    # The number of times each step was taken, over all machines of this process.
    taken: ClassVar[Counter[str]] = Counter()

    @initialize(world=st.integers(0, 2**32))
    def begin(self, world: int) -> None:
        # Hypothesis's first example repeats the simplest step; skip it.
        assume(world)
        self.world = World()
        self.world.start()
        # A typical project: one model serves, the next one waits.
        self.world.dataset = deeds.ingest(self.home, self.world.source, self.world.today)
        for bias in (0.0, 0.1):
            self.world.judged.append(deeds.judge(self.home, self.new_run(bias)))
        self.deployed(self.deploy_now(self.world.judged[0]))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.mend()
            self.end_any_rollout()
            truths.check(self.world)
            # Whatever happened, the next model can be deployed.
            if self.world.hold:
                self.released()
            if self.world.judged:
                self.deployed(self.deploy_now(self.world.judged[-1]))
                truths.check(self.world)
        finally:
            self.world.close()

    @invariant()
    def all_is_true(self) -> None:
        if hasattr(self, "world"):
            truths.check(self.world)

    @property
    def home(self) -> Home:
        return self.world.home

    def count(self, step: str) -> None:
        self.taken[step] += 1

    def new_run(self, bias: float) -> Run:
        run = deeds.train(self.home, self.world.next_run(), self.world.dataset, {"bias": bias})
        self.world.keep(run)
        return self.world.trained.pop()

    def one_of_the_newest(self, data: st.DataObject) -> Evaluation:
        newest = self.world.judged[-4:]
        return newest[data.draw(st.integers(0, len(newest) - 1), label="which")]

    def undamaged(self, deed: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the deed's result, or None if the deed reported a damaged object."""
        try:
            return deed(*arguments)
        except SailplaneError as error:
            if not self.world.is_damage(str(error)):
                raise
            note(f"refused: {error}")
            return None

    def refused(self, deed: Callable[..., Any], *arguments: Any) -> None:
        with pytest.raises(SailplaneError) as refusal:
            deed(*arguments)
        said = str(refusal.value)
        held = self.world.hold is not None and "on hold since" in said and "`sailplane release toy`" in said
        assert ("a rollout of" in said and "is running" in said) or held or self.world.is_damage(said), said

    def deploy_now(self, evaluation: Evaluation) -> str:
        """Deploys as a new task."""
        return deeds.deploy(self.home, self.world.clock, evaluation, self.world.next_run())

    def deployed(self, version: str | None) -> None:
        if version is not None:
            self.world.champion, self.world.settled = version, True

    def is_held(self, evaluation: Evaluation) -> bool:
        """True if a rollback keeps the run's model from being deployed."""
        hold, champion = self.world.hold, alias(self.world.ledger, deeds.NAME, "champion")
        same = champion is not None and champion.run == evaluation.run.id
        return hold is not None and not same and not hold.lifted_by(evaluation.approval)

    def lifted(self, evaluation: Evaluation) -> None:
        """Ends a hold that the approval lifts, once the model was deployed or its rollout began."""
        if self.world.hold is not None and self.world.hold.lifted_by(evaluation.approval):
            self.world.hold = None

    def released(self) -> None:
        deeds.release(self.home)
        self.world.hold = None

    def may_hold(self) -> None:
        """A rollback may have ended, or the ledger may be another one."""
        self.world.hold = holds.find(self.world.ledger, deeds.NAME)
        self.world.held_champion = self.world.champion

    def interrupted(self, outcome: Outcome) -> None:
        """After an interrupted deed either version may serve."""
        note(f"the deed was {outcome.end}: {outcome.value}")
        self.world.settled = False
        self.world.wait_for_lease()
        self.end_if_over()

    def end_if_over(self) -> None:
        """An ended rollout says which version serves."""
        if not self.world.rolling_out:
            now = served(self.home, deeds.NAME)
            self.world.champion = now.version if now else None
            named = alias(self.world.ledger, deeds.NAME, "champion")
            # A rollout that was lost with the ledger leaves its traffic split in the router.
            whole = now is not None and dict(now.weights) == {now.version: 100}
            self.world.settled = now is None or (whole and named is not None and now.version == named.version)

    def end_any_rollout(self) -> None:
        if self.world.rolling_out:
            try:
                self.deployed(deeds.go_back(self.home, self.world.clock))
            except ModelError:
                self.end_if_over()
            assert not self.world.rolling_out
            self.may_hold()

    def forget_collected(self) -> None:
        """Garbage collection removes runs that were trained but not judged."""
        self.world.collected += self.world.trained
        self.world.trained.clear()
        self.world.dataset = None

    def collect(self) -> None:
        """Collects garbage, and applies the error's remedy if the ledger lacks objects of the store."""
        self.undamaged(self.collected)
        self.forget_collected()

    def collected(self) -> None:
        try:
            housekeeping.collect(self.home)
        except LedgerError as error:
            if error.reason != "incomplete":
                raise
            housekeeping.rebuild(self.home)
            housekeeping.collect(self.home)

    def restarted(self) -> None:
        fault = self.undamaged(housekeeping.up, self.home)
        assert not fault, fault

    def mend_the_ledger(self, remedy: Callable[..., None]) -> None:
        """Runs `sailplane ledger restore` or `rebuild` while nothing else runs."""
        outcome = apart(remedy, self.home)
        if outcome.end == "refused" and remedy is not housekeeping.rebuild:
            note(f"no backup: {outcome.value}")
            outcome = apart(housekeeping.rebuild, self.home)
        assert outcome.end == "done", outcome.value
        housekeeping.forget_connections(self.home)
