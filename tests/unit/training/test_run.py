from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sailplane.training.run import RunHandle


class Rows:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        self.rows.append({"step": step, **metrics})


def handle(folder: Path, **options: Any) -> RunHandle:
    return RunHandle(folder, **{"seed": 1, "tracked": Rows(), "verbose": False, **options})


def test_what_is_logged_goes_to_tracking_and_to_the_history(tmp_path: Path) -> None:
    rows = Rows()
    run = handle(tmp_path, tracked=rows)
    run.log({"loss": torch.tensor(0.5)})
    run.log({"loss": 0.25})
    run.log({"auc": 0.7}, step=9)
    expected = [{"step": 0, "loss": 0.5}, {"step": 1, "loss": 0.25}, {"step": 9, "auc": 0.7}]
    assert rows.rows == run.history == expected
    assert run.last == {"loss": 0.25, "auc": 0.7}


def test_the_same_seed_gives_the_same_random_numbers(tmp_path: Path) -> None:
    def draw() -> tuple[float, ...]:
        handle(tmp_path, seed=5)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    assert draw() == draw()


def test_a_run_goes_on_after_its_last_checkpoint(tmp_path: Path) -> None:
    first = handle(tmp_path)
    assert first.resume() is None
    for epoch in first.epochs(5):
        first.log({"loss": 1 / (epoch + 1)})
        first.checkpoint({"weight": torch.full((2,), float(epoch))})
        if epoch == 2:
            break
    rows = Rows()
    second = handle(tmp_path, tracked=rows)
    state = second.resume()
    assert state is not None
    assert state["weight"].tolist() == [2.0, 2.0]
    assert list(second.epochs(5)) == [3, 4]
    second.log({"loss": 0.1})
    assert rows.rows[0]["step"] == 3


def test_a_checkpoint_leaves_no_half_file(tmp_path: Path) -> None:
    run = handle(tmp_path)
    run.checkpoint({"a": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    torch.save({"epoch": 0, "step": 0, "state": {"path": Path("x")}}, tmp_path / "checkpoint.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.?only"):
        handle(tmp_path).resume()


def test_epochs_end_when_the_run_should_stop(tmp_path: Path) -> None:
    seen: list[int] = []
    run = handle(tmp_path, stop=lambda: len(seen) >= 2)
    for epoch in run.epochs(10):
        seen.append(epoch)
    assert seen == [0, 1]


def test_a_run_that_was_trained_elsewhere_ends_where_that_one_did(tmp_path: Path) -> None:
    elsewhere = handle(tmp_path)
    for epoch in elsewhere.epochs(3):
        elsewhere.log({"loss": 1.0}, step=epoch)
        elsewhere.checkpoint({"epoch": epoch})
    here = handle(tmp_path, until=2)
    assert here.resume() == {"epoch": 2}
    assert list(here.epochs(9)) == []
    anew = handle(tmp_path / "anew", until=2)
    for epoch in anew.epochs(9):
        anew.log({"loss": 1.0}, step=epoch)
    assert [row["step"] for row in anew.history] == [0, 1, 2]
