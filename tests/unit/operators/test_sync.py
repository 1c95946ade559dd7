from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sailplane import operators
from sailplane.errors import StorageError
from sailplane.operators import SyncStorageOperator
from sailplane.operators.retries import USER_ERRORS_FAIL

FILES = {f"part {number}/x?.bin": b"x" * (number + 1) * 1000 for number in range(20)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with files that are a minute old."""
    for name, content in FILES.items():
        file = tmp_path / "source" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        os.utime(file, (time.time() - 60,) * 2)
    return tmp_path / "source"


def operator(source: Path, target: Path, **how: Any) -> SyncStorageOperator:
    return SyncStorageOperator(task_id="sync", source=source.as_uri(), target=target.as_uri(), **how)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[SyncStorageOperator], Any]:
    """Runs the task. Returns its log at INFO."""
    # Airflow's own handler writes only to the task's log, at its own level.
    log = logging.getLogger("a task")
    monkeypatch.setattr(SyncStorageOperator, "log", log)

    def run(task: SyncStorageOperator) -> list[str]:
        with caplog.at_level(logging.INFO, logger=log.name):
            task.execute({})
        return [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]

    return run


def held(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_target_holds_what_the_source_holds(source: Path, tmp_path: Path) -> None:
    moved = operator(source, tmp_path / "target").execute({})
    assert held(tmp_path / "target") == FILES
    assert moved == {"objects": 20, "bytes": 210_000, "all_objects": 20, "all_bytes": 210_000}


def test_the_log_says_how_far_it_is(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[SyncStorageOperator], Any]
) -> None:
    monkeypatch.setattr("sailplane.operators.sync.LOG_SECONDS", 0.0)
    lines = told(operator(source, tmp_path / "target"))
    assert [line.partition(",")[0] for line in lines[:-1]] == [f"{n} of 20 objects" for n in range(1, 21)]
    assert lines[-2] == "20 of 20 objects, 0.2 of 0.2 MB"
    assert lines[-1].endswith("20 objects were copied")


def test_a_log_has_a_line_every_two_seconds_and_the_last(
    source: Path, tmp_path: Path, told: Callable[[SyncStorageOperator], Any]
) -> None:
    task = operator(source, tmp_path / "target")
    task._logged = time.monotonic() + 60
    assert told(task)[0] == "20 of 20 objects, 0.2 of 0.2 MB"


def test_what_the_source_does_not_hold_is_removed_if_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_bytes(b"old")
    assert operator(source, target).execute({})["objects"] == 20
    assert held(target) == {**FILES, "old": b"old"}
    assert operator(source, target, delete=True).execute({})["objects"] == 0
    assert held(target) == FILES


def test_a_retry_goes_on_where_the_last_try_stopped(source: Path, tmp_path: Path) -> None:
    # The largest object is copied first, and the failing object last. A file is in the place of a folder.
    target = tmp_path / "target"
    target.mkdir()
    (target / "part 0").write_bytes(b"in the way")
    with pytest.raises(StorageError, match="part 0"):
        operator(source, target).execute({})
    assert len(held(target)) == 20
    (target / "part 0").unlink()
    assert operator(source, target).execute({})["objects"] == 1
    assert held(target) == FILES


def test_uris_are_templates() -> None:
    task = SyncStorageOperator(task_id="s", source="s3://lake@raw/{{ ds }}", target="data://.my/raw/{{ ds }}")
    task.render_template_fields({"ds": "2026-03-01"})  # type: ignore[arg-type,typeddict-unknown-key]
    assert (task.source, task.target) == ("s3://lake@raw/2026-03-01", "data://.my/raw/2026-03-01")


def test_a_wrong_setting_is_not_tried_again() -> None:
    task = SyncStorageOperator(task_id="s", source="ftp://a", target="s3://b")
    assert task.retry_policy is USER_ERRORS_FAIL
    assert "SyncStorageOperator" in operators.__all__
