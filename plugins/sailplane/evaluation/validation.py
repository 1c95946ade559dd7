"""Metrics of an exported model on the validation window of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sailplane.errors import ModelError
from sailplane.evaluation.metrics import metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray


def validate(
    onnx: bytes, features: Mapping[str, NDArray[Any]], target: NDArray[np.generic], model: str = "the graph"
) -> dict[str, float]:
    """The metrics of the ONNX graph that will serve, on arrays [n, ...] by name and their labels [n].

    Raises ModelError, naming `model`, if the graph fails or a score is not a number; DataError for labels of only one
    class.
    """
    return metrics(target, scores(onnx, features, model))


def scores(onnx: bytes, features: Mapping[str, NDArray[Any]], model: str = "the graph") -> NDArray[np.float32]:
    """Probabilities [n, outputs] from the graph. Raises ModelError, naming `model`, if the graph fails or a score is
    not a number."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    used = {argument.name for argument in session.get_inputs()}
    try:
        (probability,) = session.run(None, {name: array for name, array in features.items() if name in used})
    except Exception as error:  # onnxruntime's exceptions share no class of their own
        remedy = "The ONNX export is limited to one number of rows: forward must not depend on it."
        got = " ".join(str(error).split())
        raise ModelError("score the validation window with", model, got=got, remedy=remedy) from error
    _check_finite(probability, model)
    found: NDArray[np.float32] = probability
    return found


def _check_finite(probability: NDArray[np.float32], model: str) -> None:
    bad = int(np.count_nonzero(~np.isfinite(probability).all(axis=1)))
    if bad:
        raise ModelError(
            "score the validation window with",
            model,
            got=f"{bad} of {len(probability)} rows are NaN",
            expected="probabilities",
            remedy="Check for a learning rate that is too high, or inputs that are not finite.",
        )
