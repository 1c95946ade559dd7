"""Days that the release of 23 November ingested."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sailplane.storage import Storage
from tests.unit.operators.changed_source.project import DAYS, EXTRACT, Project, called


def as_of_november(storage: Storage, made: float) -> None:
    """Rewrites the markers as the release of 23 November wrote them."""
    root = Path(storage.root.removeprefix("file://"))
    for marker in root.glob("datasets/sizes/partitions/*/*.json"):
        kept = {"day", "digest", "rows", "quarantined", "schema"}
        values = {key: value for key, value in json.loads(marker.read_text()).items() if key in kept}
        marker.write_text(json.dumps(values, indent=1))
        os.utime(marker, (made, made))


@pytest.fixture
def now() -> float:
    return datetime.now(UTC).timestamp()


def test_days_of_an_earlier_release_are_adopted_without_reading_them(project: Project, now: float) -> None:
    first = project.ingest(extract=EXTRACT)
    as_of_november(project.storage, now)
    assert project.ingest(extract=EXTRACT) == first
    assert called() == []
    assert project.why == [
        "2024-02-27 to 2024-02-29: ingested by an earlier release, assumed to match the current source"
    ]
    project.write("things/sizes.py", "SIZE = 6.0\n")
    assert project.sizes(project.ingest(extract=EXTRACT)) == [6] * 6


def test_files_that_are_newer_than_the_days_of_an_earlier_release_are_read_again(project: Project, now: float) -> None:
    first = project.ingest()
    as_of_november(project.storage, now - 60)
    for day in DAYS[1:]:
        os.utime(project.folder / "files" / f"{day}.csv", (now - 3600, now - 3600))
    project.day(DAYS[0], 4)
    assert project.sizes(project.ingest()) == [4, 4, 1, 1, 1, 1]
    assert len(project.why) == 2
    assert project.ingest().revised == ("2024-02-27 in version 2",)
    assert first.revised == ()
