"""New versions of days: one of several writers wins, and after a kill a reader sees the old or the new version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sailplane.datasets import load
from sailplane.datasets.catalogue import history
from sailplane.datasets.fingerprints import Fingerprint, SourcePart
from sailplane.datasets.markers import request_refresh
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from tests.unit.datasets.conftest import START, Source

DAY = timedelta(days=1)
REPOSITORY = Path(__file__).parents[3]


class Changing(Source):
    """A source with fingerprints; `shift` is added to all distances."""

    shift = 0

    def __call__(self, start, end):
        rows = super().__call__(start, end)
        return rows.assign(distance=rows["distance"] + self.shift)

    def fingerprints(self, days):
        part = SourcePart(mark=str(self.shift), size=1)
        return dict.fromkeys(days, Fingerprint(about="a test", parts={"shift": part}))


@pytest.fixture
def changing(source: pd.DataFrame) -> Changing:
    return Changing(source)


@pytest.fixture
def day() -> Interval:
    return Interval(start=START, end=START + DAY)


def distances(store: Storage, dataset: Dataset) -> list[float]:
    return load(store, dataset)["distance"].tolist()


def test_each_change_is_a_version_and_every_version_can_be_read(store, changing, ingested, day):
    made = []
    for shift in (0, 1, 1, 0, 2):
        changing.shift = shift
        made.append(ingested(changing, day))
    assert [distances(store, dataset)[0] for dataset in made] == [100, 101, 101, 100, 102]
    assert made[0].version == made[3].version, "equal rows are an equal version of the dataset"
    assert [one.revised for one in made[1:]] == [(f"2024-02-26 in version {n}",) for n in (2, 2, 3, 4)]
    assert [(marker.version, marker.number) for marker in history(store, "flights", "2024-02-26")] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
    ]
    assert len(changing.asked) == 4


@pytest.mark.slow
def test_in_the_order_of_their_names_markers_are_in_the_order_of_their_numbers(store, changing, ingested, day):
    for shift in range(12):
        changing.shift = shift
        ingested(changing, day)
    paths = [path for path in store.list("datasets/flights/partitions") if path.endswith(".json")]
    assert [json.loads(store.get(path))["version"] for path in sorted(paths)] == list(range(1, 13))


def test_bad_rows_of_each_version_are_kept_and_named(store, changing, ingested, day):
    first = ingested(changing, day)
    changing.frame.loc[0, "carrier"] = "none"
    changing.shift = 1
    second = ingested(changing, day)
    assert (first.quarantined, second.quarantined) == (0, 1)
    before, after = history(store, "flights", "2024-02-26")
    assert before.quarantine is None
    assert store.exists(f"datasets/flights/quarantine/2024-02-26/{after.quarantine}.parquet")


class Overtaken(Storage):
    """Another writer finishes just before this one puts a marker."""

    def __init__(self, root: str, other: Callable[[], object]) -> None:
        super().__init__(root)
        self.other: Callable[[], object] | None = other

    def put_new(self, path: str, content: Any) -> bool:
        other, self.other = self.other, None
        if other and "/partitions/" in path:
            other()
        return super().put_new(path, content)


def test_of_two_writers_of_a_new_version_the_first_wins_and_an_older_source_is_found_out(
    store, changing, ingested, source, day
):
    ingested(changing, day)
    late = Changing(source)
    late.shift, changing.shift = 2, 1
    winners: list[Dataset] = []
    slow = Overtaken(store.root, lambda: winners.append(ingested(changing, day)))
    assert [ingested(late, day, storage=slow)] == winners
    # The source has changed since the winner read it, and the next run notices.
    assert distances(store, ingested(late, day))[0] == 102
    assert [marker.version for marker in history(store, "flights", "2024-02-26")] == [1, 2, 3]


@pytest.mark.slow
def test_many_writers_of_a_new_version_agree(store, changing, ingested, source, week):
    ingested(changing, week)
    versions: list[str] = []

    def write() -> None:
        mine = Changing(source)
        mine.shift = 1
        versions.append(ingested(mine, week).version)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 4
    assert len(set(versions)) == 1
    assert {history(store, "flights", f"{day:%Y-%m-%d}")[-1].version for day in week.days} == {2}


KILLED = """\
import os, signal, sys
from datetime import datetime, timedelta, UTC

import sailplane.storage.store as store
from sailplane.datasets import ingest
from sailplane.records import Interval
from tests.unit.datasets.conftest import SCHEMA, START
from tests.unit.datasets.test_revisions import Changing, rows

root, moment = sys.argv[1], int(sys.argv[2])
writes = 0

def deadly(name):
    whole = getattr(store.Storage, name)

    def write(self, path, content):
        global writes
        writes += 1
        if writes == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, path, content)

    setattr(store.Storage, name, write)

for name in ("put", "put_new", "keep"):
    deadly(name)
source = Changing(rows())
source.shift = 1
day = Interval(start=START, end=START + timedelta(days=1))
ingest(store.Storage(root), name="flights", extract=source, schema=SCHEMA, time="time", interval=day)
"""


def rows() -> pd.DataFrame:
    """Adds one bad row to the day, so that its quarantine is written too."""
    times = pd.date_range(START, periods=4, freq="6h", unit="us")
    return pd.DataFrame(
        {"time": times, "distance": [100.0, 101, 102, -5], "carrier": "AA", "seats": pd.NA, "late": pd.NA}
    ).astype({"seats": "Int64", "late": "boolean"})


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_the_old_version_or_the_new_one(ingested, day, tmp_path):
    """It is killed at each write: rows, quarantine, marker, and two writes of the manifest by `keep`."""
    moments = range(1, 7)
    roots = [(tmp_path / str(moment)).as_uri() for moment in moments]
    old = [ingested(Changing(rows()), day, storage=Storage(root)) for root in roots]
    command = [sys.executable, "-c", textwrap.dedent(KILLED)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "plugins")))}
    killed = [
        subprocess.Popen([*command, root, str(moment)], env=env) for root, moment in zip(roots, moments, strict=True)
    ]
    assert [process.wait(timeout=120) for process in killed] == [-signal.SIGKILL] * 5 + [0]
    # The fourth write is the manifest's, so from then on the marker exists.
    for root, before, versions in zip(roots, old, (1, 1, 1, 2, 2, 2), strict=True):
        store = Storage(root)
        assert distances(store, before) == [100, 101, 102], "who reads the old version is not disturbed"
        assert [marker.version for marker in history(store, "flights", "2024-02-26")] == list(range(1, versions + 1))
        again = Changing(rows())
        again.shift = 1
        assert distances(store, ingested(again, day, storage=store)) == [101, 102, 103]
        assert len(again.asked) == (versions == 1), "what is whole is not read again"


def test_a_day_that_is_asked_for_keeps_its_rows_until_it_is_read(store, changing, ingested, day):
    first = ingested(changing, day)
    assert request_refresh(store, "flights", "2024-02-26", "asked for by Ada")
    assert request_refresh(store, "flights", "2024-02-26", "asked for by Bob"), "once is enough"
    assert not request_refresh(store, "flights", "2024-02-27", "asked for by Ada")
    assert [marker.refresh for marker in history(store, "flights", "2024-02-26")] == ["asked for by Ada"]
    assert distances(store, first) == [100, 101, 102, 103]
    changing.asked.clear()
    assert [ingested(changing, day), ingested(changing, day)] == [first, first]
    assert len(changing.asked) == 1
