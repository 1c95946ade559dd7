"""An interrupted put leaves the previous content."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.platform import until

SIZE = 400 * 2**20
# Puts the object that its arguments name, once it is told to.
PUT = """
import os, sys
from pathlib import Path
from sailplane.storage.store import Storage
store, form, source = Storage(os.environ["SAILPLANE_TEST_ROOT"]), sys.argv[1], Path(sys.argv[2])
store.list()
def pieces():
    with source.open("rb") as file:
        while piece := file.read(2**20):
            yield piece
print("ready", flush=True)
sys.stdin.readline()
store.put("folder/a", source if form == "file" else pieces())
print("done", flush=True)
"""


class Broken(Exception):
    pass


def breaks_after(size: int) -> Iterator[bytes]:
    piece = random.Random(3).randbytes(2**20)
    for _ in range(size // len(piece)):
        yield piece
    raise Broken


def killed_in_the_middle(place, form: str, source: Path) -> None:
    """Kills a process that has read a part of its source and not finished its put."""
    command = [sys.executable, "-c", PUT, form, str(source)]
    process = subprocess.Popen(
        command, env=place.surroundings(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            counters = psutil.Process(process.pid).io_counters
            enough = counters().read_chars + SIZE // 4
            process.stdin.write("go\n")
            process.stdin.flush()
            until(lambda: True if process.poll() is not None or counters().read_chars > enough else None, 60, "a part")
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == "", "the put ended before it was killed"


class Wholeness:
    @pytest.mark.parametrize("size", [0, 3 * 2**20, 40 * 2**20])
    def test_an_iterator_that_raises_leaves_nothing(self, store, size):
        for put in (store.put, store.put_new):
            with pytest.raises(Broken):
                put("folder/a", breaks_after(size))
        assert store.list() == []
        assert not store.exists("folder/a")
        with pytest.raises(FileNotFoundError):
            store.get("folder/a")

    @pytest.mark.parametrize("size", [0, 3 * 2**20, 40 * 2**20])
    def test_an_iterator_that_raises_leaves_what_was_there(self, store, size):
        etag = store.put("folder/a", b"before")
        with pytest.raises(Broken):
            store.put("folder/a", breaks_after(size))
        with pytest.raises(Broken):
            store.replace("folder/a", breaks_after(size), etag)
        assert store.get("folder/a") == b"before"
        assert store.head("folder/a").etag == etag
        assert store.list() == ["folder/a"]

    @pytest.mark.parametrize("form", ["file", "iterator"])
    def test_a_process_that_is_killed_in_a_put_leaves_what_was_there(self, store, place, tmp_path, form):
        source = tmp_path / "source"
        with source.open("wb") as file:
            file.truncate(SIZE)
        killed_in_the_middle(place, form, source)
        assert store.list() == []
        assert not store.exists("folder/a")
        etag = store.put("folder/a", b"before")
        killed_in_the_middle(place, form, source)
        assert store.list() == ["folder/a"]
        assert store.get("folder/a") == b"before"
        assert store.head("folder/a").etag == etag
        store.put("folder/a", b"after")
        assert store.get("folder/a") == b"after"
