"""Moves between folders, where every fault can be produced; contract tests cover the verbs of the other backends."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sailplane.errors import ConfigurationError, ConflictError, StorageError
from sailplane.storage import Storage, TransferProgress
from sailplane.storage.backend import Content
from sailplane.storage.local import LocalBackend
from sailplane.storage.move import MARKER, Copy
from sailplane.storage.store import IDENTITY
from tests.small_disk import SmallDisk, disks

OBJECTS = {f"runs/{n}/part-{n}.bin": os.urandom(1000 + n) for n in range(30)}
ABOUT = {"format": 1, "id": "the same", "earlier": ["s3://before/store"]}


@pytest.fixture
def source(tmp_path: Path) -> Storage:
    source = Storage((tmp_path / "source").as_uri())
    for path, content in OBJECTS.items():
        source.put(path, content)
    source.put(IDENTITY, json.dumps(ABOUT).encode())
    return source


@pytest.fixture
def target(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "target").as_uri())


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "moves" / "one.jsonl"


def moved(source: Storage, target: Storage, journal: Path) -> list[TransferProgress]:
    told: list[TransferProgress] = []
    copy = Copy(source, target, journal)
    copy.begin()
    copy.run(told.append)
    copy.publish()
    copy.close()
    return told


def contents(storage: Storage) -> dict[str, bytes]:
    return {path: storage.get(path) for path in storage.list()}


def test_everything_is_copied_and_old_uris_still_resolve(source: Storage, target: Storage, journal: Path) -> None:
    before = contents(source)
    told = moved(source, target, journal)
    assert contents(source) == before
    assert {path: content for path, content in contents(target).items() if path != IDENTITY} == OBJECTS
    assert json.loads(target.get(IDENTITY)) == {**ABOUT, "earlier": ["s3://before/store", source.root]}
    assert (told[-1].objects, told[-1].bytes) == (told[-1].all_objects, told[-1].all_bytes)
    assert told[-1].objects == len(OBJECTS)
    for root in (source.root, target.root, "s3://before/store", "store://"):
        assert target.path(f"{root}/runs/1/part-1.bin") == "runs/1/part-1.bin"
    with pytest.raises(ConfigurationError, match=r"outside the store.*sailplane store move URI"):
        target.path("s3://elsewhere/runs/1")
    assert not journal.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from sailplane.storage import Storage
from sailplane.storage.move import Copy

def dies(progress):
    if progress.objects == 7:
        os.kill(os.getpid(), signal.SIGKILL)

copy = Copy(Storage(sys.argv[1]), Storage(sys.argv[2]), Path(sys.argv[3]))
copy.begin()
copy.run(dies)
"""


def test_after_a_kill_the_next_call_goes_on_and_repeats_only_what_was_not_verified(
    source: Storage, target: Storage, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-P", "-c", KILLED, source.root, target.root, str(journal)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    verified = len(journal.read_text().splitlines())
    assert 7 <= verified < len(OBJECTS)
    assert target.exists(MARKER)
    assert not target.exists(IDENTITY)
    with journal.open("a") as file:
        file.write('["runs/29/part')  # A line that a kill truncated.

    puts: list[str] = []
    put = LocalBackend.put
    monkeypatch.setattr(LocalBackend, "put", lambda self, path, content: puts.append(path) or put(self, path, content))
    moved(source, target, journal)
    assert len([path for path in puts if path in OBJECTS]) == len(OBJECTS) - verified
    assert {path: content for path, content in contents(target).items() if path != IDENTITY} == OBJECTS


def test_an_object_that_was_damaged_after_it_was_verified_is_copied_again(
    source: Storage, target: Storage, journal: Path, tmp_path: Path
) -> None:
    copy = Copy(source, target, journal)
    copy.begin()
    copy.run(lambda _: None)
    (tmp_path / "target" / "runs/3/part-3.bin").write_bytes(b"damaged")
    moved(source, target, journal)
    assert target.get("runs/3/part-3.bin") == OBJECTS["runs/3/part-3.bin"]


def test_an_object_that_arrives_damaged_is_copied_again_and_at_last_named(
    source: Storage, target: Storage, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, damaged = LocalBackend.put, list[str]()

    def bad(self: LocalBackend, path: str, content: Content) -> str:
        etag = put(self, path, content)
        if path == "runs/5/part-5.bin" and len(damaged) < times:
            damaged.append(path)
            (tmp_path / "target" / path).write_bytes(b"other")
        return etag

    monkeypatch.setattr(LocalBackend, "put", bad)
    times = 100
    with pytest.raises(StorageError, match=r"verify .*runs/5/part-5.bin: SHA-256 \w+ after 3 copies.*it continues"):
        moved(source, target, journal)
    assert not target.exists(IDENTITY)
    damaged.clear()
    times = 1
    moved(source, target, journal)
    assert target.get("runs/5/part-5.bin") == OBJECTS["runs/5/part-5.bin"]


def test_what_changes_while_it_is_copied_arrives_as_it_is_at_the_end(
    source: Storage, target: Storage, journal: Path
) -> None:
    copy = Copy(source, target, journal)
    copy.begin()

    def changes(progress: TransferProgress) -> None:
        if progress.objects == len(OBJECTS):
            source.put("runs/1/part-1.bin", b"changed")
            source.put("runs/new", b"new")
            source.delete("runs/2/part-2.bin")

    first = iter([changes])
    copy.run(lambda progress: next(first, lambda _: None)(progress) if progress.objects == len(OBJECTS) else None)
    copy.publish()
    copy.close()
    expected = {**OBJECTS, "runs/1/part-1.bin": b"changed", "runs/new": b"new"}
    del expected["runs/2/part-2.bin"]
    assert {path: content for path, content in contents(target).items() if path != IDENTITY} == expected


def test_a_source_that_keeps_changing_is_refused(source: Storage, target: Storage, journal: Path) -> None:
    copy = Copy(source, target, journal)
    copy.begin()
    with pytest.raises(ConflictError, match=r"it keeps changing.*Stop the processes that write to it"):
        copy.run(lambda progress: _write(source, progress))
    assert not target.exists(IDENTITY)


def _write(source: Storage, progress: TransferProgress) -> None:
    if progress.objects == progress.all_objects:
        source.put("runs/log", os.urandom(9))


@pytest.mark.parametrize("disk", disks())
def test_a_full_disk_leaves_the_store_where_it_is_and_the_next_call_goes_on(
    source: Storage, journal: Path, tmp_path: Path, disk: Callable[[Path], AbstractContextManager[SmallDisk]]
) -> None:
    source.put("large", os.urandom(300_000))
    with disk(tmp_path / "small") as small:
        target = Storage((small.folder / "target").as_uri())
        with small.full(leave=50_000), pytest.raises(StorageError, match=r"free|ulimit"):
            moved(source, target, journal)
        assert not target.exists(IDENTITY)
        moved(source, target, journal)
        assert target.get("large") == source.get("large")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("source", "it is the store itself"),
        ("source/", "it is the store itself"),
        ("link", "it is the store itself"),
        ("source/inside", "it is inside the store or around it"),
        ("", "it is inside the store or around it"),
    ],
)
def test_a_target_that_is_no_other_place_is_refused(
    source: Storage, journal: Path, tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "source")
    before = contents(source)
    with pytest.raises(ConfigurationError, match=f"{reason}.*expected an empty location outside the store"):
        moved(source, Storage(f"{tmp_path.as_uri()}/{place}"), journal)
    assert contents(source) == before


def test_what_was_damaged_in_the_source_already_is_copied_and_named(
    source: Storage, target: Storage, journal: Path
) -> None:
    good, bad = (f"code/{hashlib.sha256(content).hexdigest()}.zip" for content in (b"good", b"bad"))
    source.put(good, b"good")
    source.put(bad, b"damaged")
    copy = Copy(source, target, journal)
    copy.begin()
    copy.run(lambda _: None)
    assert copy.damaged == [bad]
    assert (target.get(good), target.get(bad)) == (b"good", b"damaged")


def test_a_move_that_was_killed_at_its_very_end_does_not_hinder_the_next_one(
    source: Storage, target: Storage, journal: Path, tmp_path: Path
) -> None:
    copy = Copy(source, target, journal)
    copy.begin()
    copy.run(lambda _: None)
    copy.publish()  # There is no close.
    third = Storage((tmp_path / "third").as_uri())
    moved(target, third, tmp_path / "moves" / "two.jsonl")
    assert third.earlier_roots() == ("s3://before/store", source.root, target.root)
    assert not third.exists(MARKER)


def test_a_target_that_is_not_empty_is_refused(source: Storage, target: Storage, journal: Path) -> None:
    target.put("somebody's", b"own")
    with pytest.raises(ConfigurationError, match="it is not empty: it holds somebody's"):
        moved(source, target, journal)
    assert contents(target) == {"somebody's": b"own"}


def test_a_target_to_which_another_store_is_being_copied_is_refused(
    source: Storage, target: Storage, journal: Path
) -> None:
    target.put(MARKER, json.dumps({"from": "file:///other"}).encode())
    with pytest.raises(ConfigurationError, match="it holds an unfinished copy of file:///other"):
        moved(source, target, journal)
