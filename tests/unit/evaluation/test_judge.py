from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest
from sailplane.errors import DataError, ModelError
from sailplane.evaluation import evaluate
from sailplane.ledger import Ledger
from sailplane.records import Dataset, Field, Interval, Model, Run
from sailplane.registry import bundle
from sailplane.registry.models import register
from sailplane.storage import Storage
from sailplane.training.export import to_onnx

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float),
        "good": Column("boolean", nullable=True),
    }
)
FEATURES = """
def transform(frame, state):
    assert "good" not in frame
    return {"numbers": frame[["height"]].to_numpy("float32")}
"""
Train = Callable[..., Run]


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """48 rows a day, every tenth without a label; good is more likely the greater the height."""
    time = pd.date_range(start, end, freq="30min", inclusive="left").astype(pd.DatetimeTZDtype("us", "UTC"))
    draw = np.random.default_rng(0)
    height = draw.normal(size=len(time))
    good = pd.array(height + draw.normal(size=len(time)) > 0, dtype="boolean")
    good[::10] = pd.NA
    return pd.DataFrame({"time": time, "height": height, "good": good})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def dataset(storage: Storage) -> Dataset:
    interval = Interval.trailing(AS_OF, 28)
    return ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)


@pytest.fixture
def train(storage: Storage, dataset: Dataset, tmp_path: Path) -> Train:
    """A run whose model is one weight: a positive one ranks well, a negative one badly."""

    def make(name: str, weight: float, target: str = "good") -> Run:
        net = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(net.weight, weight)
        torch.nn.init.zeros_(net.bias)
        net.forward = lambda numbers: torch.nn.functional.linear(numbers, net.weight, net.bias)  # type: ignore[method-assign]
        (tmp_path / "features.py").write_text(FEATURES)
        folder = tmp_path / name
        bundle.write(
            folder,
            model="toy",
            target=target,
            outputs=(target,),
            inputs=(Field(name="height", kind="number"),),
            onnx=to_onnx(net, {"numbers": np.ones((2, 1), "float32")}, 1),
            features=tmp_path / "features.py",
            state={},
            golden=pd.DataFrame({"height": [0.5]}),
            run=name,
            dataset=dataset.version,
            as_of=AS_OF,
        )
        storage.upload(folder, f"runs/{name}/bundle")
        uri = storage.uri(f"runs/{name}/bundle")
        return Run(
            id=name, model="toy", config={}, seed=0, dataset=dataset, as_of=AS_OF, metrics={}, bundle=uri, seconds=0
        )

    return make


def registered(storage: Storage, run: Run, tmp_path: Path) -> Model:
    return register(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), storage, run)


def test_all_contenders_are_scored_on_the_labelled_rows_of_the_test_window(
    storage: Storage, train: Train, tmp_path: Path
) -> None:
    champion = registered(storage, train("champion", -1.0), tmp_path)
    got = evaluate(storage, run=train("new", 2.0), baseline=train("plain", 1.0).bundle, champion=champion)
    assert got.window == Interval.trailing(AS_OF, 7)
    assert got.rows == 7 * 48 - 34
    assert set(got.metrics) == {"challenger", "baseline", "champion"}
    assert got.metrics["challenger"]["auc"] == pytest.approx(1 - got.metrics["champion"]["auc"])
    assert (got.passed, got.champion) == (True, champion.version)


def test_a_challenger_that_is_only_equal_does_not_pass_and_the_reason_says_so(
    storage: Storage, train: Train, tmp_path: Path
) -> None:
    champion = registered(storage, train("champion", 1.0), tmp_path)
    got = evaluate(storage, run=train("new", 1.0), champion=champion)
    assert not got.passed
    assert got.reasons[1].startswith("failed: champion: auc 0.")


def test_a_champion_that_predicts_something_else_is_refused(storage: Storage, train: Train, tmp_path: Path) -> None:
    champion = registered(storage, train("champion", 1.0, target="tall"), tmp_path)
    with pytest.raises(ModelError, match="the champion predicts tall: tall; expected good: good"):
        evaluate(storage, run=train("new", 1.0), champion=champion)


def test_a_bundle_that_is_gone_is_named(storage: Storage, train: Train) -> None:
    with pytest.raises(ModelError, match=r"fetch bundle file:.*/runs/x/bundle: nothing there"):
        evaluate(storage, run=train("new", 1.0), baseline=storage.uri("runs/x/bundle"))


def test_a_window_with_one_class_only_is_refused(storage: Storage, train: Train) -> None:
    interval = Interval.trailing(datetime(2027, 1, 1, tzinfo=UTC), 28)
    same = ingest(storage, name="same", extract=_all_good, schema=SCHEMA, time="time", interval=interval)
    run = Run.from_dict({**train("new", 1.0).to_dict(), "dataset": same.to_dict()})
    with pytest.raises(DataError, match=r"all 336 rows have the same label.*Use a longer window"):
        evaluate(storage, run=run)


def _all_good(start: datetime, end: datetime) -> pd.DataFrame:
    return extract(start, end).assign(good=pd.array([True], dtype="boolean")[0])


def test_judging_imports_neither_torch_nor_airflow() -> None:
    program = "import sys, sailplane.evaluation; print({'torch', 'airflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
