from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import pytest

from sailplane.errors import ModelError
from sailplane.registry import environment, lineage
from sailplane.storage import Storage
from tests.executed import lines

PROJECT = Path(__file__).parents[3]


def test_the_list_of_packages_is_that_of_pip_and_sorted() -> None:
    lines = environment.installed().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))
    assert f"python=={platform.python_version()}" in lines
    for name in ("numpy", "pandas", "apache-airflow"):
        assert f"{name}=={importlib.metadata.version(name)}" in lines


def test_what_differs_from_today_is_named() -> None:
    then = "gone==1.0\nnumpy==1.0\ntorch==2.0\n"
    assert environment.differences(then, "new==1.0\nnumpy==2.0\ntorch==2.0\n") == (
        "gone 1.0 then, not installed now",
        "numpy 1.0 then, 2.0 now",
    )


def test_an_origin_is_found_quickly_and_kept_once(storage: Storage) -> None:
    environment.installed.cache_clear()
    modules = ["include.flights.features", "include.flights.model:train"]
    assert lines(lambda: lineage.Origin.of(PROJECT, modules)) < 500_000
    origin = lineage.Origin.of(PROJECT, modules)
    origin.keep(storage)
    before = {entry.path: entry.modified for entry in storage.entries()}
    assert set(before) == {f"code/{origin.code}.zip", f"environments/{origin.environment}.txt"}
    origin.keep(storage)
    assert {entry.path: entry.modified for entry in storage.entries()} == before
    assert lineage.archived_code(storage, origin.code) == origin.archive
    assert lineage.recorded_packages(storage, origin.environment) == environment.installed()


def test_what_is_kept_again_after_a_day_is_young_again(storage: Storage, tmp_path: Path) -> None:
    storage.keep("code/a.zip", b"a")
    file = tmp_path / "store" / "code" / "a.zip"
    os.utime(file, (time.time() - 90_000,) * 2)
    storage.keep("code/a.zip", b"a")
    assert time.time() - file.stat().st_mtime < 60


def test_code_that_is_gone_is_an_error_with_its_uri_and_a_list_of_packages_is_none(storage: Storage) -> None:
    with pytest.raises(ModelError, match=r"code/abc\.zip: it is gone"):
        lineage.archived_code(storage, "abc")
    assert lineage.recorded_packages(storage, "abc") is None
