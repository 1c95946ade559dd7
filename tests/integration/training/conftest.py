from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane import code
from sailplane.datasets import ingest
from sailplane.home import Home
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from sailplane.training.specs import TrainSpec
from tests.homes import new_home

PROJECT = Path(__file__).parent / "project"
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A separate home folder with a project that has `include.toy`."""
    monkeypatch.setenv("SAILPLANE_PROJECT", str(PROJECT))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(PROJECT))
    yield new_home()
    for name in [name for name in sys.modules if name.startswith("include.toy")]:
        del sys.modules[name]


@pytest.fixture
def dataset(home: Home) -> Dataset:
    data: Any = code.load("include.toy.data")
    return ingest(
        Storage(home.store),
        name="toy",
        extract=data.extract,
        schema=data.SCHEMA,
        time="time",
        interval=Interval.trailing(AS_OF, 28),
    )


@pytest.fixture
def spec(dataset: Dataset) -> Callable[..., TrainSpec]:
    def make(train: str = "train", **changes: Any) -> TrainSpec:
        defaults: dict[str, Any] = {
            "run": f"toy/{train}",
            "model": "toy",
            "dataset": dataset,
            "as_of": AS_OF,
            "features": "include.toy.features",
            "train": f"include.toy.model:{train}",
        }
        return TrainSpec(**{**defaults, **changes})

    return make
