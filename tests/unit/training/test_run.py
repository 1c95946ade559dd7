from __future__ import annotations

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.storage import Storage
from sailplane.training.checkpoint_store import StoreShelf
from sailplane.training.run import RunHandle


class Rows:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        self.rows.append({"step": step, **metrics})


def shelf(folder: Path) -> StoreShelf:
    return StoreShelf(Storage((folder / "store").as_uri()), "runs/r")


def handle(folder: Path, **options: Any) -> RunHandle:
    given = {"seed": 1, "tracked": Rows(), "verbose": False, "shelf": shelf(folder), **options}
    return RunHandle(folder / "scratch", **given)


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


def test_a_run_that_goes_on_has_the_whole_history(tmp_path: Path) -> None:
    first = handle(tmp_path)
    for epoch in first.epochs(2):
        first.log({"loss": 1 / (epoch + 1)})
        first.checkpoint({})
    second = handle(tmp_path)
    second.resume()
    for epoch in second.epochs(3):
        second.log({"loss": 1 / (epoch + 1)})
    assert second.history == [{"step": epoch, "loss": 1 / (epoch + 1)} for epoch in range(3)]


def test_a_run_that_goes_on_draws_what_an_unbroken_one_draws(tmp_path: Path) -> None:
    def draw(run: RunHandle, epochs: int) -> list[tuple[float, ...]]:
        run.resume()
        drawn = []
        for _ in run.epochs(epochs):
            drawn.append((random.random(), float(np.random.rand()), float(torch.rand(1))))
            run.checkpoint({})
        return drawn

    unbroken = draw(handle(tmp_path / "unbroken"), 4)
    first = draw(handle(tmp_path / "broken"), 2)
    handle(tmp_path / "another", seed=9)
    assert first + draw(handle(tmp_path / "broken"), 4) == unbroken


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = handle(tmp_path)
    for epoch in run.epochs(5):
        run.checkpoint({"epoch": epoch})
    newest = max((tmp_path / "store" / "runs" / "r").glob("last-*"))
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    again = handle(tmp_path)
    assert again.resume() == {"epoch": 3}
    assert list(again.epochs(5)) == [4]
    assert f"checkpoint {newest.name} is damaged" in capsys.readouterr().out


def test_a_run_whose_checkpoints_are_all_damaged_begins_anew(tmp_path: Path) -> None:
    handle(tmp_path).checkpoint({})
    for file in (tmp_path / "store" / "runs" / "r").iterdir():
        file.write_bytes(b"")
    assert handle(tmp_path).resume() is None


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    torch.save({"epoch": 0, "step": 0, "state": {"path": Path("x")}}, tmp_path / "checkpoint.pt")
    shelf(tmp_path).keep(tmp_path / "checkpoint.pt", "last")
    with pytest.raises(Exception, match=r"[Ww]eights.?only"):
        handle(tmp_path).resume()


def learn(run: RunHandle, values: list[float], **monitored: Any) -> list[int]:
    """Returns the number of epochs until these values are logged."""
    run.resume()
    done = []
    for epoch in run.epochs(len(values), **{"monitor": "auc", **monitored}):
        run.log({"auc": values[epoch]})
        run.checkpoint({"epoch": epoch})
        done.append(epoch)
    return done


def test_the_best_epoch_is_kept_and_of_equal_ones_the_first(tmp_path: Path) -> None:
    run = handle(tmp_path)
    assert learn(run, [0.5, 0.7, 0.7, 0.6]) == [0, 1, 2, 3]
    assert run.best() == {"epoch": 1}


def test_the_least_loss_is_the_best_where_less_is_better(tmp_path: Path) -> None:
    run = handle(tmp_path)
    learn(run, [0.5, 0.3, math.nan, 0.4], goal="minimize")
    assert run.best() == {"epoch": 1}


def test_without_a_metric_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    run = handle(tmp_path)
    assert run.best() is None
    for epoch in run.epochs(3):
        run.checkpoint({"epoch": epoch})
    assert run.best() == {"epoch": 2}


def test_a_run_ends_when_it_got_no_better_for_a_while(tmp_path: Path) -> None:
    assert learn(handle(tmp_path), [0.5, 0.7, 0.6, 0.6, 0.9], patience=2) == [0, 1, 2, 3]


def test_a_run_that_goes_on_knows_its_best_epoch_and_its_patience(tmp_path: Path) -> None:
    values = [0.5, 0.7, 0.6, 0.6, 0.9]
    assert learn(handle(tmp_path), values[:3], patience=2) == [0, 1, 2]
    again = handle(tmp_path)
    assert learn(again, values, patience=2) == [3]
    assert again.best() == {"epoch": 1}
    assert learn(handle(tmp_path), values, patience=2) == [], "it had ended"


def test_a_metric_that_is_not_logged_is_named(tmp_path: Path) -> None:
    run = handle(tmp_path)
    epochs = run.epochs(2, monitor="auc")
    next(epochs)
    run.log({"acu": 0.5})
    with pytest.raises(TrainingError, match=r"monitor auc: epoch 0 logged none. Log it each epoch"):
        next(epochs)


def test_a_checkpoint_before_its_metric_is_an_error(tmp_path: Path) -> None:
    run = handle(tmp_path)
    epochs = run.epochs(2, monitor="auc")
    next(epochs)
    run.checkpoint({})
    run.log({"auc": 0.5})
    with pytest.raises(TrainingError, match=r"epoch 0 was saved before its value was logged. Call run.log before"):
        next(epochs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"goal": "best"}, "goal 'best'; expected maximize or minimize"), ({"patience": 0}, "patience 0; expected at")],
)
def test_what_is_monitored_wrongly_is_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        next(handle(tmp_path).epochs(2, monitor="auc", **wrong))


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
