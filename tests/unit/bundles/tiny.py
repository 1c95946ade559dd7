"""A small model without torch. Its bundles are real and take milliseconds to make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.writing import write
from sailplane.records import Dataset, Evaluation, Field, Interval, Run
from sailplane.storage import Storage

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
INPUTS = (
    Field(name="distance", kind="number"),
    Field(name="wind", kind="number", nullable=True),
    Field(name="seats", kind="integer", nullable=True),
    Field(name="carrier", kind="string"),
    Field(name="weekend", kind="boolean"),
    Field(name="scheduled", kind="timestamp"),
)
FEATURES = """
import numpy as np

TARGET = "late"


def fit(frame):
    return {"carriers": sorted(set(frame["carrier"])), "distance": float(frame["distance"].mean())}


def transform(frame, state):
    numbers = np.column_stack([
        frame["distance"].to_numpy("float32") / state["distance"],
        frame["wind"].fillna(0).to_numpy("float32"),
        frame["seats"].astype("Float64").fillna(0).to_numpy("float32") / 100,
        frame["weekend"].to_numpy("float32"),
        frame["scheduled"].dt.hour.to_numpy("float32") / 24,
    ]).astype("float32")
    places = {carrier: place for place, carrier in enumerate(state["carriers"], start=1)}
    categories = np.array([places.get(carrier, 0) for carrier in frame["carrier"]], dtype="int64").reshape(-1, 1)
    return {"numbers": numbers, "categories": categories}
"""
# The same computation on arrays, which takes a twentieth of the time.
COLUMNS = """
import numpy as np

TARGET = "late"


def fit(columns):
    return {}


def transform(columns, state):
    assert isinstance(columns["distance"], np.ndarray)
    known = [columns["distance"] / 1000, np.nan_to_num(columns["wind"]), np.nan_to_num(columns["seats"]) / 100,
             columns["weekend"], columns["scheduled"].astype("datetime64[h]").astype("int64") % 24]
    codes = [[1 + (carrier == "UA")] for carrier in columns["carrier"].tolist()]
    return {"numbers": np.stack(known, axis=1).astype("float32"), "categories": np.array(codes, dtype="int64")}
"""
RECORD: dict[str, Any] = {
    "distance": 1400.0,
    "wind": 12.5,
    "seats": 150,
    "carrier": "UA",
    "weekend": False,
    "scheduled": "2013-07-05T14:00:00+00:00",
}


def frame(rows: int = 32, seed: int = 7) -> pd.DataFrame:
    """Returns rows as in a dataset. Some values are missing if that is allowed."""
    random = np.random.default_rng(seed)
    wind = random.uniform(0, 40, rows)
    wind[::5] = np.nan
    seats = pd.array(random.integers(50, 400, rows), dtype="Int64")
    seats[::7] = pd.NA
    start = pd.Timestamp(AS_OF)
    return pd.DataFrame(
        {
            "distance": random.uniform(100, 3000, rows),
            "wind": wind,
            "seats": seats,
            "carrier": pd.Series(random.choice(["AA", "UA", "B6", "?"], rows), dtype="str"),
            "weekend": random.random(rows) < 0.3,
            "scheduled": [start + timedelta(hours=int(hour)) for hour in random.integers(0, 240, rows)],
        }
    )


def graph(*, bias: float = 0.0, outputs: int = 1) -> bytes:
    """Returns the graph of sigmoid(numbers @ weights + embedding[categories] + bias)."""
    random = np.random.default_rng(0)
    constants = {
        "weights": random.normal(size=(5, outputs)).astype("float32"),
        "embedding": random.normal(size=(4, outputs)).astype("float32"),
        "bias": np.full(outputs, bias, dtype="float32"),
        "shape": np.array([-1, outputs], dtype="int64"),
    }
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["a"]),
        helper.make_node("Gather", ["embedding", "categories"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["d"]),
        helper.make_node("Add", ["d", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
    ]
    described = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 5]),
            helper.make_tensor_value_info("categories", TensorProto.INT64, ["n", 1]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(described, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def features_file(folder: Path, text: str = FEATURES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "features.py"
    path.write_text(text)
    return path


def bundle(
    folder: Path,
    *,
    model: str = "flights",
    bias: float = 0.0,
    outputs: tuple[str, ...] = ("late",),
    features: str = FEATURES,
    onnx: bytes | None = None,
    golden: pd.DataFrame | None = None,
    run: str = "run-1",
    inputs: tuple[Field, ...] = INPUTS,
    unchecked: tuple[str, ...] = (),
) -> Bundle:
    state = {"carriers": ["AA", "B6", "UA"], "distance": 1000.0}
    return write(
        folder,
        model=model,
        target="late",
        outputs=outputs,
        inputs=inputs,
        unchecked=unchecked,
        onnx=graph(bias=bias, outputs=len(outputs)) if onnx is None else onnx,
        features=features_file(folder.parent / f"{folder.name}-source", features),
        state=state,
        golden=frame() if golden is None else golden,
        run=run,
        dataset="d1",
        as_of=AS_OF,
    )


def run_of(bundle: Bundle, storage: Storage) -> Run:
    """Puts the bundle on the store. Returns its run."""
    prefix = f"runs/{bundle.manifest.run}/bundle"
    storage.upload(bundle.folder, prefix)
    dataset = Dataset(
        name="flights",
        version="d1",
        uri="file:///nowhere",
        interval=Interval.trailing(AS_OF, 196),
        rows=32,
        quarantined=0,
        schema=INPUTS,
    )
    return Run(
        id=bundle.manifest.run,
        model=bundle.manifest.model,
        config={},
        seed=1,
        dataset=dataset,
        as_of=AS_OF,
        metrics={"auc": 0.7},
        bundle=storage.uri(prefix),
        seconds=1.0,
    )


def evaluation_of(run: Run, *, passed: bool = True) -> Evaluation:
    return Evaluation(
        model=run.model,
        run=run,
        window=run.dataset.windows.test,
        rows=1234,
        metrics={"challenger": {"auc": 0.7}, "baseline": {"auc": 0.65}},
        champion=None,
        passed=passed,
        reasons=("passed: minimum: auc 0.7000, expected at least 0.5500",),
    )
