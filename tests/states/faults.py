"""Steps for faults: killed processes, full disks, damaged objects."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, note
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sailplane.datasets.markers import request_refresh
from sailplane.supervisor import Supervisor
from tests.states import deeds, housekeeping
from tests.states.apart import CALLS, Deed, apart
from tests.states.keepers import Keepers

FILE_BYTES = st.sampled_from([0, 200, 2_000, 20_000])


class States(Keepers):
    @rule(data=st.data())
    def kill_a_process(self, data: st.DataObject) -> None:
        self.count("kill a process")
        programs = ["supervisord", *sorted(Supervisor(self.home).states())]
        kinds = sorted({name.partition("-")[0] for name in programs})
        kind = data.draw(st.sampled_from(kinds), label="kind")
        of_kind = [name for name in programs if name.partition("-")[0] == kind]
        self.world.kill(of_kind[data.draw(st.integers(0, 3), label="which") % len(of_kind)])

    @precondition(lambda self: self.world.dataset)
    @rule(count=st.integers(1, 3), calls=CALLS)
    def sweep_with_a_worker_that_is_killed(self, count: int, calls: int) -> None:
        self.count("sweep with a worker that is killed")
        name = self.world.next_run()
        apart(deeds.sweep, self.home, name, self.world.dataset, count, "first", calls=calls)
        run = self.undamaged(deeds.sweep, self.home, name, self.world.dataset, count, "second")
        if run:
            self.world.keep(run)

    @precondition(lambda self: self.world.judged)
    @rule(data=st.data(), calls=CALLS)
    def kill_a_deed(self, data: st.DataObject, calls: int) -> None:
        name, deed, arguments = self.drawn(data)
        self.count(f"kill: {name}")
        self.interrupted(apart(deed, self.home, *arguments, calls=calls))
        self.check_hold(name)
        if deed is housekeeping.collect:
            self.forget_collected()

    @precondition(lambda self: self.world.judged)
    @rule(data=st.data(), size=FILE_BYTES)
    def a_deed_on_a_full_disk(self, data: st.DataObject, size: int) -> None:
        name, deed, arguments = self.drawn(data)
        self.count(f"full disk: {name}")
        self.interrupted(apart(deed, self.home, *arguments, file_bytes=size))
        self.check_hold(name)
        if deed is housekeeping.collect:
            self.forget_collected()

    @rule(data=st.data())
    def damage_an_object(self, data: st.DataObject) -> None:
        self.count("damage an object")
        kinds: dict[str, list[str]] = {}
        for path in self.world.storage.list():
            if path not in self.world.damaged:
                kinds.setdefault(f"{path.split('/')[0]}/{path.rpartition('.')[2]}", []).append(path)
        assume(kinds)
        paths = kinds[data.draw(st.sampled_from(sorted(kinds)), label="kind")]
        path = paths[data.draw(st.integers(0, 99), label="which") % len(paths)]
        note(f"damaged: {path}")
        self.world.damage(path)

    @precondition(lambda self: self.world.damaged)
    @rule()
    def mend_from_a_backup(self) -> None:
        self.count("mend from a backup")
        self.world.mend()

    @precondition(lambda self: any("/partitions/" in path for path in self.world.damaged))
    @rule()
    def read_damaged_days_again(self) -> None:
        """Runs `sailplane datasets refresh`, as the error says. The next ingestion reads the rows of the source."""
        self.count("read damaged days again")
        days = {path.split("/")[3] for path in self.world.damaged if "/partitions/" in path}
        # They may include versions of a day that only a backup can restore.
        markers = [path for path in self.world.damaged if "/partitions/" in path and path.endswith(".json")]
        for day in sorted(days):
            if self.undamaged(request_refresh, self.world.storage, "toy", day, "damaged"):
                note(f"{day} is read again")
        for path in markers:
            del self.world.damaged[path]
        self.ingest()

    def check_hold(self, name: str) -> None:
        """An interrupted deed changes the hold only if the deed itself changes it."""
        before = self.world.hold
        self.may_hold()
        now, approval = self.world.hold, self.world.judged[-1].approval
        lifted = before is not None and now is None and (name == "answer" or before.lifted_by(approval))
        assert now == before or lifted or name in ("go back", "look"), f"{name}: {before}, then {now}"

    def drawn(self, data: st.DataObject) -> tuple[str, Deed, tuple[Any, ...]]:
        """Draws a deed to interrupt. After each of them either version may serve."""
        world, evaluation = self.world, self.world.judged[-1]
        some: dict[str, tuple[Deed, tuple[Any, ...]]] = {
            "deploy": (deeds.deploy, (world.clock, evaluation, world.next_run())),
            "answer": (deeds.answer, (evaluation, True)),
            "judge": (deeds.judge, (evaluation.run,)),
            "roll out": (deeds.roll_out, (world.clock, evaluation, world.next_run())),
            "look": (deeds.look, (world.clock,)),
            "go back": (deeds.go_back, (world.clock,)),
            "ingest": (deeds.ingest, (world.source, world.today)),
            "collect": (housekeeping.collect, ()),
            "put back": (housekeeping.put_back, ()),
            "back up": (housekeeping.back_up, ()),
            "rebuild": (housekeeping.rebuild, ()),
        }
        name = data.draw(st.sampled_from(sorted(some)), label="deed")
        return name, *some[name]
