"""A bundle with the features and fields of `flights`, without its training, and request bodies of given sizes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from include.flights import features
from include.flights.data import SCHEMA, extract
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import plain_records
from sailplane.bundles.writing import write
from sailplane.datasets.schema import fields
from sailplane.serving.open_inference import messages_pb2 as messages
from sailplane.serving.open_inference.messages import DATATYPES
from tests.unit.bundles import tiny

INPUTS = tuple(field for field in fields(SCHEMA) if field.name != features.TARGET)
NAMES = [field.name for field in INPUTS]
_CONTENTS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
HEAD = b'{"data":{"names":%s,"ndarray":[' % orjson.dumps(NAMES)


def bundle(folder: Path) -> Bundle:
    frame = _days(1)
    return write(
        folder,
        model="flights",
        target=features.TARGET,
        outputs=("late",),
        inputs=INPUTS,
        onnx=_graph(),
        features=Path(features.__file__),
        state=features.fit(arrays_of_frame(frame, INPUTS)),
        golden=frame.head(32),
        run="run-1",
        dataset="d1",
        as_of=tiny.AS_OF,
    )


def rows(size: int) -> bytes:
    """Returns rows of July 2013, of about `size` bytes, as the inside of a JSON array."""
    frame = _days(3)
    some = b",".join(orjson.dumps(list(record.values())) for record in plain_records(frame, INPUTS))
    return b",".join([some] * max(1, size // len(some)))


def body(size: int) -> bytes:
    """Returns a valid request."""
    return HEAD + rows(size) + b"]}}"


def bad_bodies(size: int) -> dict[str, bytes]:
    """Returns bodies that are refused, with the error and its place."""
    good = rows(size)
    first = good[: good.index(b"]") + 1]
    return {
        "the last row": HEAD + good + b"," + first.replace(b'"EWR"', b"1") + b"]}}",
        "the first row": HEAD + b"[1]," + good + b"]}}",
        "its end": HEAD + good,
        "rows that are empty objects": HEAD + b",".join([b"{}"] * (size // 3)) + b"]}}",
        "a row of empty lists": HEAD + b"[" + b",".join([b"[]"] * (size // 3)) + b"]]}}",
        "one string": HEAD + b'["' + b"a" * size + b'"]]}}',
        "tags": b'{"meta":{"tags":{"a":[' + b",".join([b"{}"] * (size // 3)) + b"]}}," + HEAD[1:] + first + b"]}}",
    }


def inference(size: int, *, bad: bool = False) -> bytes:
    """Returns a ModelInferRequest of about `size` bytes. A `bad` request lacks the time of its last row."""
    columns = dict(zip(NAMES, _first_row(), strict=True))
    request, count = messages.ModelInferRequest(model_name="flights"), size // 220
    for field in INPUTS:
        tensor = request.inputs.add(name=field.name, datatype=DATATYPES[field.kind][0], shape=[count])
        value = columns[field.name]
        text = field.kind in ("string", "timestamp")
        values = [value.encode() if text else 0 if value is None else value] * count
        if bad and field.kind == "timestamp":
            values[-1] = b"late"
        getattr(tensor.contents, _CONTENTS[tensor.datatype]).extend(values)
    return bytes(request.SerializeToString())


def message() -> dict[str, Any]:
    """Returns a valid request with one row."""
    return dict(orjson.loads(body(1))) | {"data": {"names": NAMES, "ndarray": [_first_row()]}}


def _days(count: int) -> pd.DataFrame:
    return extract(datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 1 + count, tzinfo=UTC))[NAMES]


def _first_row() -> list[Any]:
    return list(orjson.loads(body(1))["data"]["ndarray"][0])


def _graph() -> bytes:
    random = np.random.default_rng(0)
    constants = {
        "weights": random.normal(size=(15, 1)).astype("float32"),
        "embedding": random.normal(size=(8, 1)).astype("float32"),
    }
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["a"]),
        helper.make_node("Cast", ["categories"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["codes", "embedding"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "flights",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 15]),
            helper.make_tensor_value_info("categories", TensorProto.INT64, ["n", 8]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
