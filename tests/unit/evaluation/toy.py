"""Rows with two colours, and models without torch that know both colours, one or none. The bundles are real and take
milliseconds to make."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from pandera.pandas import Column, DataFrameSchema

from sailplane.bundles import writing
from sailplane.datasets import ingest
from sailplane.evaluation.details import Details
from sailplane.ledger import Ledger
from sailplane.records import Dataset, Evaluation, Field, Interval, Model, Run
from sailplane.registry.models import register
from sailplane.storage import Storage
from tests.homes import new_ledger

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float),
        "colour": Column(str),
        "good": Column("boolean", nullable=True),
        "kind": Column(int),
    }
)
FEATURES = """
import numpy as np

def transform(frame, state):
    assert "good" not in frame
    height = frame["height"].to_numpy("float32")
    return {"numbers": np.column_stack([height, height * (frame["colour"] == "red").to_numpy("float32")])}
"""
INPUTS = (Field(name="height", kind="number"), Field(name="colour", kind="string"))


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """Returns 144 rows a day. Every tenth has no label, and every other day has one green row. The greater the height,
    the likelier is `good`, and the greater is `kind` (0 to 2)."""
    time = pd.date_range(start, end, freq="10min", inclusive="left").astype(pd.DatetimeTZDtype("us", "UTC"))
    draw = np.random.default_rng(0)
    height = draw.normal(size=len(time))
    good = pd.array(height + draw.normal(size=len(time)) > 0, dtype="boolean")
    good[::10] = pd.NA
    colour = np.where(draw.random(len(time)) < 0.6, "blue", "red").astype("U5")
    colour[5::288] = "green"
    kind = np.digitize(height + draw.normal(size=len(time)) / 2, [-0.5, 0.5])
    return pd.DataFrame(
        {"time": time, "height": height, "colour": pd.Series(colour, dtype="str"), "good": good, "kind": kind}
    )


def graph(weights: np.ndarray) -> bytes:
    """The graph of sigmoid(numbers @ weights), or of the softmax for several outputs; `weights` [2, outputs]."""
    outputs = weights.shape[1]
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["logits"]),
        helper.make_node("Sigmoid" if outputs == 1 else "Softmax", ["logits"], ["probability"]),
    ]
    described = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weights.astype("float32"), "weights")],
    )
    model = helper.make_model(described, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Toy:
    storage: Storage
    ledger: Ledger
    dataset: Dataset
    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Toy:
        storage = Storage((folder / "store").as_uri())
        interval = Interval.trailing(AS_OF, 28)
        dataset = ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)
        return cls(storage, new_ledger(f"sqlite:///{folder / 'ledger.db'}"), dataset, folder)

    def train(
        self,
        name: str,
        weights: Any = ((1.0,), (0.0,)),
        *,
        target: str = "good",
        outputs: tuple[str, ...] = (),
        features: str = FEATURES,
        **of_run: Any,
    ) -> Run:
        """Trains a model with these weights: one for the height, one for the height of red rows. Returns its run."""
        file = self.folder / "features.py"
        file.write_text(features)
        folder = self.folder / name
        writing.write(
            folder,
            model="toy",
            target=target,
            outputs=outputs or (target,),
            inputs=INPUTS,
            onnx=graph(np.asarray(weights)),
            features=file,
            state={},
            golden=pd.DataFrame({"height": [0.5, -1.0], "colour": pd.Series(["red", "blue"], dtype="str")}),
            run=name,
            dataset=self.dataset.version,
            as_of=AS_OF,
        )
        self.storage.upload(folder, f"runs/{name}/bundle")
        known: dict[str, Any] = {"config": {}, "seed": 0, "dataset": self.dataset, "as_of": AS_OF, "metrics": {}}
        known |= {"bundle": self.storage.uri(f"runs/{name}/bundle"), "seconds": 0.0}
        return Run(id=name, model="toy", **{**known, **of_run})

    def beside(self, name: str, weights: Any, baseline: Any) -> Run:
        """A run whose model has the weights `weights`, and whose baseline has the weights `baseline`."""
        self.train(f"{name}-plain", baseline)
        run = self.train(name, weights, metrics={"validation_auc": 0.4, "baseline_validation_auc": 0.75})
        self.storage.upload(self.folder / f"{name}-plain", f"runs/{name}/baseline")
        code = {"train": "include.toy.model:train", "baseline_train": "include.toy.model:baseline"}
        return replace(run, baseline=self.storage.uri(f"runs/{name}/baseline"), **code)

    def registered(self, run: Run) -> Model:
        return register(self.ledger, self.storage, run)

    def details(self, evaluation: Evaluation) -> Details:
        """Returns the stored figures of the evaluation."""
        assert evaluation.details
        return Details.from_dict(json.loads(self.storage.get(self.storage.path(evaluation.details))))
