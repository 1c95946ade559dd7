"""A torch module as an ONNX graph that returns probabilities."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from sailplane.errors import TrainingError
from sailplane.files import temporary_folder

OUTPUT: Final = "probability"
Arrays = Mapping[str, NDArray[Any]]


class _Probability(torch.nn.Module):
    """Takes the arrays by position, as the exporter passes them, and turns logits into probabilities [n, outputs]."""

    def __init__(self, module: torch.nn.Module, names: tuple[str, ...], outputs: int) -> None:
        super().__init__()
        self.module, self.names, self.outputs = module, names, outputs

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        logits = self.module(**dict(zip(self.names, arrays, strict=True)))
        if self.outputs == 1:
            return torch.sigmoid(logits.reshape(-1, 1))
        return torch.softmax(logits, dim=1)


def to_onnx(module: torch.nn.Module, features: Arrays, outputs: int, path: str = "a train function") -> bytes:
    """The module as an ONNX graph. Its inputs have the names of the arrays and take any number of rows; its output is
    `probability` [n, outputs].

    Raises TrainingError, naming the train function's `path`, if the module does not take the arrays by name, or returns
    logits of another shape than [n] (one output) or [n, outputs].
    """
    names = tuple(features)
    examples = tuple(torch.from_numpy(np.ascontiguousarray(features[name][:2])) for name in names)
    module = module.to("cpu").eval()
    _check(module, dict(zip(names, examples, strict=True)), outputs, path)
    with temporary_folder() as scratch, warnings.catch_warnings():
        # The newer exporter takes seven seconds instead of a third of a second.
        warnings.filterwarnings("ignore", message=".*legacy TorchScript-based ONNX export", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        file = Path(scratch, "model.onnx")
        torch.onnx.export(
            _Probability(module, names, outputs),
            examples,
            file,
            input_names=list(names),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "rows"} for name in (*names, OUTPUT)},
            dynamo=False,
        )
        return file.read_bytes()


def predicted(module: torch.nn.Module, features: Arrays, outputs: int) -> NDArray[np.floating]:
    """Probabilities [n, outputs] from the module itself."""
    # The export leaves the module in training mode, with dropout.
    model = _Probability(module, tuple(features), outputs).eval()
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in features.values()]
    with torch.no_grad():
        found: NDArray[np.floating] = model(*tensors).numpy()
    return found


def _check(module: torch.nn.Module, examples: Mapping[str, torch.Tensor], outputs: int, path: str) -> None:
    rows = len(next(iter(examples.values())))
    allowed = [(rows,), (rows, 1)] if outputs == 1 else [(rows, outputs)]
    with torch.no_grad():
        try:
            got = tuple(module(**examples).shape)
        except TypeError as error:
            raise TrainingError(
                "call the model of",
                path,
                got=error,
                expected=f"forward({', '.join(examples)})",
                remedy="Name its arguments after the arrays of transform.",
            ) from error
    if got not in allowed:
        raise TrainingError(
            "call the model of",
            path,
            got=f"logits of shape {got} for {rows} rows",
            expected=" or ".join(map(str, allowed)),
            remedy="Return one logit per row and output, without sigmoid or softmax.",
        )
