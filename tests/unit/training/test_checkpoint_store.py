"""The checkpoints of a run in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane.storage import Storage
from sailplane.training.checkpoint_store import StoreShelf


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pt"


def keep(shelf: StoreShelf, file: Path, content: str, kind: str = "last") -> None:
    file.write_text(content)
    shelf.keep(file, kind)


def fetched(shelf: StoreShelf, file: Path, kind: str = "last") -> str | None:
    return file.read_text() if shelf.fetch(file, kind) else None


def test_the_newest_two_of_a_kind_stay_also_over_several_processes(storage: Storage, file: Path) -> None:
    for content in ("a", "b", "c"):
        keep(StoreShelf(storage, "runs/r"), file, content)
    keep(StoreShelf(storage, "runs/r"), file, "best", kind="best")
    assert [name.split("-")[:2] for name in storage.list("runs/r")] == [
        ["runs/r/best", "000000000"],
        ["runs/r/last", "000000001"],
        ["runs/r/last", "000000002"],
    ]
    assert fetched(StoreShelf(storage, "runs/r"), file) == "c"
    assert fetched(StoreShelf(storage, "runs/r"), file, kind="best") == "best"


def test_what_another_process_kept_meanwhile_is_fetched(storage: Storage, file: Path) -> None:
    ours, theirs = StoreShelf(storage, "runs/r"), StoreShelf(storage, "runs/r")
    assert fetched(ours, file) is None
    keep(theirs, file, "a")
    assert fetched(ours, file) == "a"


def test_one_that_is_removed_while_it_is_fetched_is_passed_over(tmp_path: Path, file: Path) -> None:
    class Busy(Storage):
        """A store in which somebody else removes the newest checkpoint after it was listed."""

        def stream(self, path: str) -> Iterator[bytes]:
            if "-000000001-" in path:
                self.delete(path)
            return super().stream(path)

    shelf = StoreShelf(Busy((tmp_path / "store").as_uri()), "runs/r")
    keep(shelf, file, "a")
    keep(shelf, file, "b")
    assert fetched(shelf, file) == "a"


def test_other_files_are_no_checkpoints(storage: Storage, file: Path) -> None:
    storage.put("runs/r/last-000000007-abc.pt.tmp", b"half")
    shelf = StoreShelf(storage, "runs/r")
    assert not shelf.has("last")
    keep(shelf, file, "a")
    assert fetched(shelf, file) == "a"


def test_what_is_cleared_is_gone_and_the_next_begins_anew(storage: Storage, file: Path) -> None:
    shelf = StoreShelf(storage, "runs/r")
    keep(shelf, file, "a")
    shelf.clear()
    assert storage.list() == []
    keep(shelf, file, "b")
    assert fetched(shelf, file) == "b"
