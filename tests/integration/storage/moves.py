"""Transfers of many objects between a store and a folder."""

from __future__ import annotations

import os
import time

import pytest

from sailplane.storage.store import Storage

FILES = {"top": b"1", "a/b c": b"22", "a/ü#?%": b"", "a/deep/er/x": b"x" * 100_000, "large": b"l" * 20_000_000}


def written(folder, files):
    """Writes files with the time of a minute ago, because some stores know times only to the second."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, (time.time() - 60,) * 2)
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Moves:
    def test_a_folder_goes_up_and_comes_down_again(self, store, tmp_path):
        moved = store.upload(written(tmp_path / "source", FILES), "there/to")
        assert (moved.objects, moved.bytes) == (len(FILES), sum(map(len, FILES.values())))
        assert store.list("there/to") == sorted(f"there/to/{name}" for name in FILES)
        assert store.download("there/to", tmp_path / "copy") == moved
        assert contents(tmp_path / "copy") == FILES
        with pytest.raises(FileNotFoundError, match="there/nothing"):
            store.download("there/nothing", tmp_path / "other")

    def test_a_sync_moves_what_differs_both_ways_and_nothing_twice(self, store, tmp_path):
        here = Storage(written(tmp_path / "here", FILES).as_uri())
        assert store.sync(here).objects == len(FILES)
        assert store.sync(here).objects == 0
        written(tmp_path / "here", {"top": b"other", "new": b"new"})
        assert store.sync(here).objects == 2
        assert {name: store.get(name) for name in store.list()} == FILES | {"top": b"other", "new": b"new"}
        there = Storage((tmp_path / "there").as_uri())
        assert there.sync(store).objects == len(FILES) + 1
        assert there.sync(store).objects == 0
        assert contents(tmp_path / "there") == contents(tmp_path / "here")

    def test_a_sync_deletes_only_where_it_is_told_to(self, store, tmp_path):
        here = Storage(written(tmp_path / "here", {"kept": b"1"}).as_uri())
        store.put("old/one", b"1")
        store.sync(here)
        assert store.list() == ["kept", "old/one"]
        store.sync(here, delete=True)
        assert store.list() == ["kept"]
        (tmp_path / "here/more").write_bytes(b"2")
        here.sync(store, delete=True)
        assert contents(tmp_path / "here") == {"kept": b"1"}

    def test_progress_adds_up_to_what_there_was_to_move(self, store, tmp_path):
        here = Storage(written(tmp_path / "here", FILES).as_uri())
        told = []
        whole = store.sync(here, tell=told.append)
        assert told[-1] == whole
        assert [one.objects for one in told] == list(range(1, len(FILES) + 1))
        assert [one.bytes for one in told] == sorted(one.bytes for one in told)
        assert (whole.objects, whole.bytes) == (whole.all_objects, whole.all_bytes)
        assert whole.all_bytes == sum(map(len, FILES.values()))
