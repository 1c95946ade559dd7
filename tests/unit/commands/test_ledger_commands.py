"""`sailplane ledger ...` on a home with a model."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from sailplane import pairing
from sailplane.errors import ConfigurationError, LedgerError, ServiceError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.services import installation
from sailplane.services.backups import backup, backups, ledger_file, restore
from sailplane.services.ledger_check import check
from sailplane.services.rebuilding import rebuild
from sailplane.storage import Storage
from tests.homes import new_home
from tests.small_disk import disks
from tests.unit.commands.lost_ledgers import FAULTS, everything, spoil


@pytest.mark.slow
@pytest.mark.parametrize("how", FAULTS)
def test_a_lost_ledger_is_restored_from_its_newest_backup_and_the_damaged_file_is_kept(made: Home, how: str) -> None:
    before = everything(made)
    path = backup(made)
    spoil(made, how)
    lost = installation.lost(made)
    assert lost
    assert lost.reason == ("missing" if how == "deleted" else "damaged")
    for part in (str(ledger_file(made)), path.rpartition("/")[2], "ledger restore", "ledger rebuild", "ledger init"):
        assert part in str(lost)
    name, aside = restore(made, "newest")
    assert name.endswith(path)
    assert (aside is None) == (how == "deleted")
    assert aside is None or aside.exists()
    assert everything(made) == before
    assert installation.lost(made) is None


def test_the_newest_seven_backups_stay(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(made.store)
    for day in range(1, 9):
        storage.put(f"ledger/2026-01-0{day}T00-00-00Z.db", b"x")
    newest = backup(made)
    assert backups(storage) == [*(f"ledger/2026-01-0{day}T00-00-00Z.db" for day in range(3, 9)), newest]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "zeroed page"])
def test_a_damaged_ledger_is_no_backup_and_the_earlier_ones_stay(made: Home, how: str) -> None:
    path = backup(made)
    spoil(made, how)
    with pytest.raises(LedgerError, match=r"damaged|ledger restore"):
        backup(made)
    assert backups(Storage(made.store)) == [path]


@pytest.mark.slow
def test_a_damaged_backup_and_another_stores_leave_the_ledger_as_it_is(made: Home, tmp_path: Path) -> None:
    path, before = backup(made), everything(made)
    storage = Storage(made.store)
    storage.put("ledger/2026-01-01T00-00-00Z.db", storage.get(path)[:5000])
    said = f"use the ledger {made.store}/ledger/2026-01-01.* damaged .*Name another backup"
    with pytest.raises(LedgerError, match=said):
        restore(made, "2026-01-01T00-00-00Z.db")
    assert not list(made.root.glob("ledger.db.new*"))
    Ledger.create(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(LedgerError, match="belongs to the ledger with the id"):
        restore(made, str(tmp_path / "other.db"))
    with pytest.raises(ConfigurationError, match=r"no such backup; expected .*2026-01-01"):
        restore(made, "2030-01-01T00-00-00Z.db")
    assert everything(made) == before


def test_nothing_is_replaced_while_services_run(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(made)
    monkeypatch.setattr("sailplane.supervisor.Supervisor.running", lambda _: True)
    with pytest.raises(ServiceError, match="Run `sailplane down` first"):
        restore(made, "newest")
    spoil(made, "truncated")
    with pytest.raises(ServiceError, match="Run `sailplane down` first"):
        rebuild(made)


def test_postgresql_has_tools_of_its_own(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="pg_dump"):
        ledger_file(replace(home, ledger="postgresql://a:secret@host/ledger"))


@pytest.mark.slow
def test_a_check_names_what_is_wrong_and_makes_a_dropped_index_again(made: Home) -> None:
    told: list[str] = []
    assert check(made, told.append) == []
    assert any(note.startswith("There is no backup yet. The services make one each day;") for note in told)
    with Ledger(made.ledger).begin() as connection:
        connection.exec_driver_sql("UPDATE identity SET created = created - 4 * 86400")
    assert any(problem.startswith("There is no backup.") for problem in check(made, told.append))
    backup(made)
    with Ledger(made.ledger).begin() as connection:
        connection.exec_driver_sql("DROP INDEX trials_by_lease")
    assert check(made, told.append) == []
    assert "The index trials_by_lease was missing and has been restored." in told
    with Ledger(made.ledger).begin() as connection:
        connection.exec_driver_sql("DELETE FROM models WHERE version = (SELECT max(version) FROM models)")
    assert any("`sailplane ledger rebuild` adds it" in problem for problem in check(made, told.append))
    spoil(made, "zeroed page")
    with pytest.raises(LedgerError, match="damaged"):
        check(made, told.append)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["backup", "restore", "rebuild"])
def test_killed_at_any_moment_nothing_is_lost_and_the_next_try_works(made: Home, command: str, tmp_path: Path) -> None:
    before = everything(made)
    backup(made)
    Ledger(made.ledger).engine.dispose()
    if command == "rebuild":
        spoil(made, "truncated")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, command],
        env={**os.environ, "SAILPLANE_HOME": str(made.root), "SAILPLANE_PROJECT": str(made.project)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not ended.returncode, ended.stderr
    assert int(ended.stdout.split()[-1]) > 2, "it was killed at several places"
    pairing.forget()
    assert everything(made) == before
    assert set(looked_through(made, tmp_path).values()) == {"ok"}


def looked_through(home: Home, folder: Path) -> dict[str, str]:
    """Returns the result of SQLite's check of each backup."""
    found, storage = {}, Storage(home.store)
    for path in backups(storage):
        (folder / "looked_through.db").write_bytes(storage.get(path))
        with closing(sqlite3.connect(folder / "looked_through.db")) as connection:
            (found[path],) = connection.execute("PRAGMA integrity_check").fetchone()
    return found


# A child process kills itself before its n-th change of a file, for n = 1, 2, ... until one child ends normally.
KILLED = """
import os, signal, sys
from sailplane.home import Home
from sailplane.services import backups, rebuilding

home, count = Home.find(), 0
run = {"backup": backups.backup, "restore": lambda home: backups.restore(home, "newest"), "rebuild": rebuilding.rebuild}

def die_at(left):
    def dying(name, arguments):
        nonlocal left
        if name in ("os.rename", "os.remove", "os.mkdir", "sqlite3.connect") or (
            name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
        ):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(dying)

while True:
    child = os.fork()
    if not child:
        die_at(count + 1)
        run[sys.argv[1]](home)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        print(count)
        sys.exit(os.WEXITSTATUS(status))
    count += 1
"""


def backup_together(home: Home, all_ready: Barrier) -> None:
    all_ready.wait(60)
    backup(home)


@pytest.mark.slow
def test_backups_that_are_made_at_once_are_whole(made: Home, tmp_path: Path) -> None:
    """Backups of the same second have the same name, and the later one remains."""
    spawn = multiprocessing.get_context("spawn")
    all_ready = spawn.Barrier(2)
    makers = [spawn.Process(target=backup_together, args=(made, all_ready)) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert [maker.exitcode for maker in makers] == [0, 0]
    assert set(looked_through(made, tmp_path).values()) == {"ok"}
    assert check(made, lambda _: None) == []


@pytest.mark.parametrize("disk", disks(), ids=lambda disk: disk.__name__)
def test_without_room_a_backup_says_so_and_the_earlier_ones_stay(
    disk: Callable[..., object], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk(tmp_path / "disk") as small:  # type: ignore[attr-defined]
        stored = new_home(replace(home, store=(small.folder / "store").as_uri()))
        path = backup(stored)
        with small.full(leave=20_000), pytest.raises(StorageError, match=r"Free some space|Raise that limit"):
            backup(stored)
        assert backups(Storage(stored.store)) == [path]
