from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sailplane import code
from sailplane.errors import ModelError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.registry.lineage import code_path
from sailplane.registry.pins import KEPT_SECONDS, Start, clean, pin, pinned, unpacked
from sailplane.registry.references import read
from sailplane.registry.sources import Sources, changed, snapshot
from sailplane.storage import Storage
from tests.homes import new_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of a project `include.pinned`, whose model reads a table in the same folder."""
    project = tmp_path / "project"
    (project / "dags").mkdir(parents=True)
    write(project, "value = 1\n")
    (project / "include/pinned/table.csv").write_text("a\n1\n")
    monkeypatch.setenv("SAILPLANE_PROJECT", str(project))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", "")
    return new_home()


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger.at(home)


def write(project: Path, text: str) -> None:
    file = project / "include" / "pinned" / "model.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def kept(home: Home) -> Sources:
    """Archives the project's current code in the store."""
    taken = snapshot(home.project, ["include.pinned.model:value"])
    Storage(home.store).keep(code_path(taken.digest), taken.archive)
    return taken


def start(task: str, *, turn: int = 2, attempt: int = 1, clear: int = 0, index: int = -1) -> Start:
    after = {"ingest": frozenset[str](), "train": frozenset({"ingest"})}.get(task, frozenset({"ingest", "train"}))
    return Start(dag="d", run="r", task=task, index=index, turn=turn, attempt=attempt, clear=clear, after=after)


def test_all_tasks_of_a_run_use_what_its_first_one_pinned(ledger: Ledger) -> None:
    assert pin(ledger, start("ingest"), "old").digest == "old"
    assert pin(ledger, start("train"), "new").digest == "old"
    assert pin(ledger, start("other", index=3), "new").digest == "old"
    assert pinned(ledger, "d", "r", "train") == pinned(ledger, "d", "r", "unknown") == "old"
    assert pinned(ledger, "d", "another", "train") is None


def test_a_retry_keeps_what_its_task_had(ledger: Ledger) -> None:
    pin(ledger, start("ingest"), "old")
    assert pin(ledger, start("ingest", attempt=2), "new").digest == "old"
    assert pin(ledger, start("ingest", attempt=3), "newer").digest == "old"


def test_a_cleared_run_pins_anew_once_and_what_follows_uses_that(ledger: Ledger) -> None:
    for task in ("ingest", "train"):
        pin(ledger, start(task), "old")
    again = pin(ledger, start("ingest", turn=3, attempt=2, clear=1), "new")
    assert (again.digest, again.before, again.is_new) == ("new", "old", True)
    assert pin(ledger, start("train", turn=3, attempt=2, clear=1), "newer").digest == "new"
    assert pin(ledger, start("train", turn=3, attempt=3, clear=1), "newer").digest == "new"


def test_a_train_step_that_is_cleared_pins_anew_and_a_second_clear_does_again(ledger: Ledger) -> None:
    for task in ("ingest", "train"):
        pin(ledger, start(task), "old")
    assert pin(ledger, start("train", turn=3, attempt=2, clear=1), "new").digest == "new"
    assert pin(ledger, start("train", turn=4, attempt=3, clear=2), "newer").digest == "newer"


def test_another_clear_meanwhile_does_not_part_a_task_from_the_one_before_it(ledger: Ledger) -> None:
    for task in ("ingest", "train"):
        pin(ledger, start(task), "old")
    pin(ledger, start("ingest", turn=3, attempt=2, clear=1), "new")
    assert pin(ledger, start("train", turn=3, attempt=2, clear=2), "newer").digest == "new"


def test_a_clear_with_fewer_retries_than_before_is_no_new_run(ledger: Ledger) -> None:
    for task in ("ingest", "train"):
        pin(ledger, start(task, turn=50), "old")
    assert pin(ledger, start("train", turn=1, attempt=2, clear=1), "new").digest == "new"
    assert pinned(ledger, "d", "r", "ingest") == "old"


def test_two_train_steps_that_are_cleared_together_use_one_version(ledger: Ledger) -> None:
    for task in ("ingest", "train", "also"):
        pin(ledger, start(task), "old")
    pin(ledger, start("train", turn=3, attempt=2, clear=1), "new")
    assert pin(ledger, start("also", turn=3, attempt=2, clear=1), "newer").digest == "new"


def test_mapped_tasks_that_are_cleared_together_use_one_version(ledger: Ledger) -> None:
    for index in range(2):
        pin(ledger, start("train", index=index), "old")
    assert pin(ledger, start("train", index=0, turn=3, attempt=2, clear=1), "new").digest == "new"
    assert pin(ledger, start("train", index=1, turn=3, attempt=2, clear=1), "newer").digest == "new"


def test_a_run_that_was_deleted_and_made_again_pins_anew(ledger: Ledger) -> None:
    for task in ("ingest", "train"):
        pin(ledger, start(task), "old")
    assert pin(ledger, start("ingest"), "new").digest == "new"
    assert pin(ledger, start("train"), "newer").digest == "new"


def test_garbage_collection_leaves_the_code_of_runs_that_were_at_work(ledger: Ledger) -> None:
    pin(ledger, start("train"), "used")
    with ledger.begin() as connection:
        assert read(connection, [], since=time.time() - 60).hold(code_path("used"))
        assert not read(connection, [], since=time.time() + 60).hold(code_path("used"))


def test_what_runs_of_a_year_ago_used_is_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(ledger, start("train"), "old")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_SECONDS + 1)
    pin(ledger, replace(start("train"), run="another"), "new")
    assert pinned(ledger, "d", "r", "train") is None


def test_code_is_loaded_from_the_copy_and_not_from_the_project(home: Home) -> None:
    taken = kept(home)
    assert code.load("include.pinned.model:value") == 1
    write(home.project, "from include.pinned import added\nvalue = 2\n")
    (home.project / "include/pinned/added.py").write_text("")
    folder = unpacked(home, Storage(home.store), taken.digest)
    code.use(folder)
    module = code.load("include.pinned.model")
    assert module.value == 1
    assert Path(module.__file__).is_relative_to(home.code)
    assert Path(module.__file__).with_name("table.csv").read_text() == "a\n1\n"
    assert os.environ["PYTHONPATH"] == str(folder)
    assert code.root() == folder
    with pytest.raises(ModuleNotFoundError):
        __import__("include.pinned.added")


def test_a_second_run_in_the_same_process_uses_its_own_copy(home: Home) -> None:
    first = kept(home)
    write(home.project, "value = 2\n")
    second, storage = kept(home), Storage(home.store)
    for taken, value in ((first, 1), (second, 2), (first, 1)):
        code.use(unpacked(home, storage, taken.digest))
        assert code.load("include.pinned.model:value") == value
    assert changed(first.archive, second.archive) == ("include/pinned/model.py",)


def test_a_copy_that_was_edited_or_lost_is_made_again_from_the_store(home: Home) -> None:
    taken, storage = kept(home), Storage(home.store)
    folder = unpacked(home, storage, taken.digest)
    file = folder / "include/pinned/model.py"
    before = file.stat().st_ino
    assert unpacked(home, storage, taken.digest) == folder
    assert file.stat().st_ino == before
    file.chmod(0o600)
    file.write_text("value = 3\n")
    unpacked(home, storage, taken.digest)
    assert file.read_text() == "value = 1\n"
    file.unlink()
    unpacked(home, storage, taken.digest)
    assert file.read_text() == "value = 1\n"


def test_an_archive_that_is_damaged_or_gone_is_an_error_and_leaves_no_copy(home: Home) -> None:
    taken, storage = kept(home), Storage(home.store)
    storage.put(code_path(taken.digest), b"damaged")
    with pytest.raises(ModelError, match="unpack code"):
        unpacked(home, storage, taken.digest)
    storage.delete(code_path(taken.digest))
    with pytest.raises(ModelError, match="it is gone"):
        unpacked(home, storage, taken.digest)
    assert [path.name for path in home.code.iterdir()] == ["lock"]


def test_data_that_is_too_large_to_archive_is_read_where_it_is(home: Home) -> None:
    large = home.project / "include/pinned/large.bin"
    large.write_bytes(b"x" * (2**20 + 1))
    taken = kept(home)
    assert len(taken.archive) < 2**20
    folder = unpacked(home, Storage(home.store), taken.digest)
    assert (folder / "include/pinned/large.bin").read_bytes() == large.read_bytes()


def test_what_lies_beside_include_is_found_from_the_copy(home: Home) -> None:
    taken, storage = kept(home), Storage(home.store)
    for name in ("lists", "later"):
        (home.project / name).mkdir()
        (home.project / name / "words.txt").write_text(name)
        folder = unpacked(home, storage, taken.digest)
        assert (folder / name / "words.txt").read_text() == name
    shutil.rmtree(home.project / "lists")
    unpacked(home, storage, taken.digest)
    assert not (folder / "lists").is_symlink() or not (folder / "lists").exists()


def test_a_copy_that_no_task_takes_any_more_is_removed(home: Home) -> None:
    taken, storage = kept(home), Storage(home.store)
    folder = unpacked(home, storage, taken.digest)
    clean(home, 3600)
    assert folder.is_dir()
    os.utime(folder.with_suffix(".zip"), (time.time() - 7200,) * 2)
    clean(home, 3600)
    assert [path.name for path in home.code.iterdir()] == ["lock"]


def test_a_copy_that_was_half_made_when_its_process_was_killed_is_removed(home: Home) -> None:
    taken, storage = kept(home), Storage(home.store)
    folder = unpacked(home, storage, taken.digest)
    folder.with_suffix(".zip").unlink()
    half = home.code / ".half-1" / "copy"
    half.mkdir(parents=True)
    write(home.project, "value = 2\n")
    other = unpacked(home, storage, kept(home).digest)
    assert {path.name for path in home.code.iterdir()} == {"lock", other.name, f"{other.name}.zip"}


def test_equal_code_is_one_archive_and_hidden_files_are_no_part_of_it(home: Home) -> None:
    first = kept(home)
    cache = home.project / "include/pinned/__pycache__/model.pyc"
    cache.parent.mkdir()
    cache.write_text("")
    (home.project / "include/pinned/.hidden").write_text("")
    assert kept(home).digest == first.digest
