"""Steps of an operator of the platform: restarts, settings, garbage, backups, moves of the store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sailplane.errors import ConfigurationError
from tests.ports import free_port
from tests.states import housekeeping, truths
from tests.states.apart import CALLS, apart
from tests.states.users import Users

SETTINGS = st.sampled_from(["no-token", "a-token", "another-token", "another port"])
LOSSES = st.sampled_from(["deleted", "truncated", "overwritten"])
RESTARTS = st.one_of(
    st.just(("down_and_up", ())),
    st.tuples(st.just("change_settings"), st.tuples(SETTINGS)),
    st.tuples(st.just("move_the_store"), st.tuples(st.one_of(st.none(), CALLS))),
    st.tuples(st.just("lose_the_ledger"), st.tuples(LOSSES, st.sampled_from(["restore", "rebuild"]))),
)


class Keepers(Users):
    # A restart takes as long as ten other steps, so all restarts are one rule.
    @rule(how=RESTARTS)
    def restart(self, how: tuple[str, tuple[Any, ...]]) -> None:
        name, arguments = how
        getattr(self, name)(*arguments)

    def down_and_up(self) -> None:
        self.count("down and up")
        housekeeping.down(self.home)
        self.restarted()

    def change_settings(self, setting: str) -> None:
        self.count("change settings")
        if setting == "another port":
            self.world.settings["SAILPLANE_ROUTER_PORT"] = str(free_port())
        else:
            file = self.world.folder / "token"
            file.write_text(setting)
            self.world.settings["SAILPLANE_TOKEN_FILE"] = "" if setting == "no-token" else str(file)
        self.restarted()

    @precondition(lambda self: self.world.champion and self.world.settled and not self.world.rolling_out)
    @rule()
    def name_a_store_that_is_empty(self) -> None:
        """A typo in the settings changes nothing."""
        self.count("name a store that is empty")
        wrong = replace(self.home, store=(self.world.folder / "typo").as_uri())
        with pytest.raises(ConfigurationError, match="store move"):
            housekeeping.up(wrong)
        assert not (self.world.folder / "typo").exists() or not list((self.world.folder / "typo").iterdir())

    def move_the_store(self, calls: int | None) -> None:
        """Whether or not it is killed, the move is repeated until it reports its end."""
        self.count("move the store")
        self.world.moves += 1
        before = self.world.store_folder
        there = (self.world.folder / f"store-{self.world.moves}").as_uri()
        housekeeping.down(self.home)
        if calls is not None:
            apart(housekeeping.move, self.home, there, calls=calls)
        if self.home.store != there:
            moved = apart(housekeeping.move, self.home, there)
            assert moved.end == "done" or self.world.is_damage(str(moved.value)), moved.value
        housekeeping.forget_connections(self.home)
        if self.home.store == there:
            shutil.rmtree(before)
        self.restarted()

    # Garbage

    @rule()
    def collect_garbage(self) -> None:
        self.count("collect garbage")
        self.collect()

    @rule()
    def put_back_what_is_in_the_trash(self) -> None:
        """Runs that were collected can be judged again."""
        self.count("put back what is in the trash")
        if self.undamaged(housekeeping.put_back, self.home) is not None:
            self.world.trained += self.world.collected
            self.world.collected.clear()

    # The ledger

    @rule()
    def back_up(self) -> None:
        self.count("back up the ledger")
        self.undamaged(housekeeping.back_up, self.home)

    def lose_the_ledger(self, loss: housekeeping.Loss, remedy: Literal["restore", "rebuild"]) -> None:
        """The served model answers without the ledger, and each remedy restores a correct ledger."""
        self.count(f"{remedy} a ledger that is {loss}")
        housekeeping.down(self.home)
        housekeeping.forget_connections(self.home)
        housekeeping.spoil(self.home.root / "ledger.db", loss)
        fault = housekeeping.up(self.home)
        assert fault, "nobody misses the ledger"
        assert "`sailplane ledger rebuild`" in str(fault)
        truths.check_served_without_ledger(self.world)
        housekeeping.down(self.home)
        self.mend_the_ledger(getattr(housekeeping, remedy))
        self.restarted()
        known = housekeeping.judged_runs(self.home)
        self.world.judged = [one for one in self.world.judged if one.run.id in known]
        self.world.settled = False
        self.end_if_over()
        self.may_hold()
        note(f"{self.world.champion} serves, settled: {self.world.settled}")
