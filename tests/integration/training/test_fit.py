from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.errors import ConfigurationError, ModelError, SailplaneError, TrainingError
from sailplane.home import Home
from sailplane.storage import Storage
from sailplane.training.fit import fit
from sailplane.training.specs import TrainSpec

Make = Callable[..., TrainSpec]


def test_a_run_ends_with_a_bundle_that_predicts_and_with_its_scores(spec: Make, home: Home, tmp_path: Path) -> None:
    run = fit(spec(config={"learning_rate": 1.0}, baseline="include.toy.model:baseline"))
    assert 0.7 < run.metrics["validation_auc"] < 0.95
    assert {"validation_log_loss", "validation_brier", "baseline_validation_auc", "train_loss"} <= set(run.metrics)
    storage = Storage(home.store)
    assert run.bundle == storage.uri("runs/toy/train/bundle")
    for uri in (run.bundle, run.baseline or ""):
        folder = tmp_path / uri.rpartition("/")[2]
        storage.download(storage.path(uri), folder)
        bundle = Bundle.open(folder)
        bundle.check()
        assert [field.name for field in bundle.manifest.inputs] == ["time", "height"]
    assert list((home.root / "wandb").glob("offline-run-*/run-*.wandb"))


def test_the_same_specification_gives_the_same_graph(spec: Make, home: Home, tmp_path: Path) -> None:
    storage, graphs = Storage(home.store), []
    for name in ("first", "second"):
        fit(spec(run=f"toy/{name}"))
        graphs.append(storage.get(f"runs/toy/{name}/bundle/model.onnx"))
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize(
    ("train", "kind", "message"),
    [
        (
            "raises",
            TrainingError,
            r"train include.toy.model:raises: ZeroDivisionError: division by zero \(model.py:\d+ in _divide\)",
        ),
        ("gives_nan", ModelError, r"rows are NaN; expected probabilities"),
        (
            "has_a_weight_that_is_no_number",
            TrainingError,
            r"has_a_weight_that_is_no_number: 1 of 1 weights of 'linear.weight' are NaN or infinite",
        ),
        (
            "gives_no_model",
            TrainingError,
            r"train include.toy.model:gives_no_model: it returned dict; expected a torch.nn.Module",
        ),
    ],
)
def test_a_training_that_goes_wrong_leaves_nothing_and_the_next_one_works(
    spec: Make, home: Home, tmp_path: Path, train: str, kind: type[SailplaneError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        fit(spec(train, run="toy/r"))
    assert Storage(home.store).list("runs") == []
    assert fit(spec(run="toy/r")).metrics["validation_auc"] > 0.5


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "wrong",
    [{"train": "fails_for_one_row"}, {"baseline": "include.toy.model:fails_for_one_row"}],
    ids=["the model", "its baseline"],
)
def test_a_graph_that_fails_for_exactly_one_row_fails_the_training(
    spec: Make, home: Home, wrong: dict[str, str]
) -> None:
    with pytest.raises(TrainingError) as raised:
        fit(spec(**wrong))
    told = str(raised.value)
    assert told.startswith("check the bundle of include.toy.model:fails_for_one_row: score toy: [ONNXRuntimeError]")
    assert re.search(r"for validation row 0 \(time: '2026-.*, height: -?\d.*\), in a batch of 1 row; expected", told)
    assert Storage(home.store).list("runs") == []


def test_a_baseline_that_goes_wrong_leaves_no_bundle_of_the_model_either(
    spec: Make, home: Home, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"include.toy.model:raises"):
        fit(spec(baseline="include.toy.model:raises"))
    assert Storage(home.store).list("runs") == []


def test_a_train_function_that_is_not_there_is_named_before_data_are_read(spec: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"load include.toy.model:trane"):
        fit(spec("trane"))
