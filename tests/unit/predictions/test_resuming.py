from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.predictions import load, scoring
from sailplane.records import Dataset, Interval, Run
from sailplane.storage import Storage
from tests.unit.predictions.parcels import DAY, DAYS, files, ingested, scored, trained


class Counted:
    """Counts the rows that a bundle was asked to score, without its golden rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows, real = 0, scoring.scored

        def scored_and_counted(bundle: Bundle, frame: pd.DataFrame) -> Any:
            self.rows += len(frame)
            return real(bundle, frame)

        monkeypatch.setattr(scoring, "scored", scored_and_counted)


def test_what_is_there_is_not_scored_again(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    made = scored(storage, run, dataset)
    before = files(storage)
    assert counted.rows == 96
    assert scored(storage, run, dataset) == made
    assert (counted.rows, files(storage)) == (96, before)


def test_of_a_window_that_moved_on_only_the_new_day_is_scored(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(storage, run, dataset)
    counted = Counted(monkeypatch)
    later = ingested(storage, Interval(start=DAYS.start + DAY, end=DAYS.end + DAY))
    made = scored(storage, run, later)
    assert counted.rows == 24
    assert (made.rows, made.interval) == (96, later.interval)
    assert load(storage, made)["partition"].nunique() == 4


def test_a_day_with_other_contents_is_scored_anew_and_the_old_scores_stay(
    storage: Storage, run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, counted = scored(storage, run, dataset), Counted(monkeypatch)
    old = load(storage, made)
    storage.delete(next(path for path in storage.list("datasets/parcels/partitions/2026-02-27") if "json" in path))
    changed = ingested(storage, spoil=lambda frame: frame.assign(weight=0.0))
    new = load(storage, scored(storage, run, changed))
    assert counted.rows == 24
    assert (new["late"] != old["late"]).groupby(new["partition"]).any().to_dict() == {
        "2026-02-25": False,
        "2026-02-26": False,
        "2026-02-27": True,
        "2026-02-28": False,
    }
    pd.testing.assert_frame_equal(load(storage, made), old)


@pytest.mark.slow
def test_another_version_and_other_columns_have_files_of_their_own(
    storage: Storage, run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    first = scored(storage, run, dataset)
    other = scored(storage, trained(storage, tmp_path / "scratch", [[2.0], [0.0]], name="run-2"), dataset)
    kept = scored(storage, run, dataset, keep=("parcel",))
    assert len({first.uri, other.uri, kept.uri}) == 3
    assert first.version == kept.version != other.version
    scores = [load(storage, made) for made in (first, other, kept)]
    assert not np.allclose(scores[0]["late"], scores[1]["late"])
    pd.testing.assert_frame_equal(scores[0], scores[2].drop(columns="parcel"))


@pytest.mark.parametrize("broken", range(4))
def test_what_breaks_off_leaves_whole_days_and_goes_on_to_the_same_files(
    storage: Storage, run: Run, dataset: Dataset, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, days = scoring.scored, []

    def breaks(bundle: Bundle, frame: pd.DataFrame) -> Any:
        days.append(frame)
        if len(days) == broken + 1:
            raise MemoryError
        return real(bundle, frame)

    monkeypatch.setattr(scoring, "scored", breaks)
    with pytest.raises(MemoryError):
        scored(storage, run, dataset)
    assert len(files(storage)) == 2 * broken, "a file and its marker for each day"
    made = scored(storage, run, dataset)
    assert len(days) == 5
    there = files(storage)
    for path in there:
        storage.delete(path)
    assert scored(storage, run, dataset) == made
    assert files(storage) == there


@pytest.mark.parametrize("left", range(9))
def test_whatever_a_kill_left_the_next_try_ends_in_the_same_files(storage: Storage, run: Run, left: int) -> None:
    """Objects are put one by one in this order: rejected rows, scores, marker, and last the manifest."""
    dataset = ingested(
        storage,
        DAYS.trailing(DAYS.end, 3),
        spoil=lambda frame: frame.assign(weight=frame["weight"].mask(frame["time"].dt.hour == 3)),
    )
    made = scored(storage, run, dataset)
    whole = files(storage)
    order = {"rejected": 0, "parquet": 1, "json": 2}
    put = sorted(
        (path for path in whole if path.count("/") > 4),
        key=lambda path: (path.split("/")[5], order["rejected" if "/rejected/" in path else path.rpartition(".")[2]]),
    )
    for path in set(whole) - set(put[:left]):
        storage.delete(path)
    assert scored(storage, run, dataset) == made
    assert files(storage) == whole
