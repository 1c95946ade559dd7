"""Several writers of one object, and its readers meanwhile."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from threading import Barrier, Event

import pytest

from sailplane.errors import ConflictError

WRITERS = 8
VERSIONS = 10


def version(n: int) -> bytes:
    """Returns a content that shows whether it is complete. Each version has another size, of some megabytes."""
    body = random.Random(n).randbytes(1_500_000 + 500_000 * (n % 7))
    return hashlib.sha256(body).digest() + body


def is_whole(content: bytes) -> bool:
    return hashlib.sha256(content[32:]).digest() == content[:32]


def all_at_once(write):
    """Runs each `write(n)` in its own thread, all started together."""
    ready = Barrier(WRITERS)

    def begin(n: int):
        ready.wait()
        return write(n)

    with ThreadPoolExecutor(WRITERS) as threads:
        return list(threads.map(begin, range(WRITERS)))


class Races:
    @pytest.mark.parametrize("form", ["bytes", "iterator"])
    def test_of_those_who_create_one_object_one_wins_and_its_content_stays(self, store, form):
        def create(n: int) -> bool:
            content = b"%d" % n * 100_000
            return store.put_new(f"{form}/once", content if form == "bytes" else iter([content]))

        for _ in range(3):
            won = all_at_once(create)
            assert won.count(True) == 1
            assert store.get(f"{form}/once") == b"%d" % won.index(True) * 100_000
            store.delete(f"{form}/once")

    @pytest.mark.parametrize("form", ["bytes", "iterator"])
    def test_of_those_who_replace_one_version_one_wins_and_its_content_stays(self, store, form):
        etag = store.put("one", b"before")

        def content(turn: int, n: int) -> bytes:
            # Each turn has its own contents: an etag may be a digest, and then equal contents would have equal etags.
            return b"%d.%d " % (turn, n) * 30_000

        def replace(turn: int, n: int) -> str | None:
            new = content(turn, n)
            try:
                return store.replace("one", new if form == "bytes" else iter([new]), etag)
            except ConflictError:
                return None

        for turn in range(3):
            won = [(n, new) for n, new in enumerate(all_at_once(partial(replace, turn))) if new is not None]
            assert len(won) == 1
            etag = won[0][1]
            assert store.get("one") == content(turn, won[0][0])
            assert store.head("one").etag == etag

    def test_a_count_that_many_raise_by_replacing_loses_none(self, store):
        store.put("count", b"0")

        def raise_it(_: int) -> None:
            for _attempt in count():
                etag = store.head("count").etag
                try:
                    store.replace("count", b"%d" % (int(store.get("count")) + 1), etag)
                    return
                except ConflictError:
                    continue

        all_at_once(raise_it)
        assert store.get("count") == b"%d" % WRITERS

    def test_who_reads_while_another_overwrites_sees_a_whole_version(self, store):
        store.put("a", version(0))
        ended = Event()

        def read(get) -> int:
            for seen in count(1):
                content = get()
                assert is_whole(content), f"{len(content)} bytes that no version has"
                if ended.is_set():
                    return seen
            raise AssertionError

        with ThreadPoolExecutor(2) as threads:
            readers = [threads.submit(read, get) for get in (lambda: store.get("a"), lambda: streamed(store, "a"))]
            try:
                for n in range(1, VERSIONS):
                    store.put("a", version(n) if n % 2 else iter([version(n)]))
            finally:
                ended.set()
            assert min(reader.result() for reader in readers) >= 1
        assert store.get("a") == version(VERSIONS - 1)

    @pytest.mark.parametrize("change", ["replaced", "deleted"])
    def test_an_object_that_changes_while_it_is_streamed_gives_its_old_version_or_a_conflict(self, store, change):
        before = b"".join(version(n) for n in range(12))
        store.put("a", before)
        pieces = store.stream("a")
        first = next(pieces)
        if change == "replaced":
            store.put("a", before[::-1])
        else:
            store.delete("a")
        try:
            rest = b"".join(pieces)
        except ConflictError:
            return
        assert first + rest == before


def streamed(store, path: str) -> bytes:
    """Reads one version, and starts again if it is replaced meanwhile."""
    while True:
        try:
            return b"".join(store.stream(path))
        except ConflictError:
            continue
