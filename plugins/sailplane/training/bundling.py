"""From a trained module to a bundle with its validation metrics."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from sailplane.bundles import writing
from sailplane.bundles.bundle import Bundle
from sailplane.evaluation.validation import validate
from sailplane.training.data import Data, transformed
from sailplane.training.export import predicted, to_onnx
from sailplane.training.rehearsal import rehearse
from sailplane.training.specs import TrainSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

GOLDEN_ROWS: Final = 32


class Bundler:
    """Makes the bundles of a run: its own, and the baseline's."""

    def __init__(self, spec: TrainSpec, features: ModuleType, data: Data) -> None:
        self._spec, self._features, self._data = spec, features, data

    def bundle(self, folder: Path, module: torch.nn.Module, path: str) -> tuple[Bundle, dict[str, float]]:
        """Exports the module, measures it on the validation window, writes its bundle to `folder`, and rehearses it.

        Returns the bundle and its metrics. Errors name the train function's `path`: TrainingError for a module that
        cannot be exported or whose bundle gives other scores, ModelError for scores that are not numbers.
        """
        data = self._data
        onnx = to_onnx(module, data.validation.features, len(data.outputs), path)
        measured = validate(onnx, data.validation.features, data.validation.target, path)
        bundle = self._write(folder, onnx)
        rehearse(bundle, lambda rows: self._predicted(module, rows), data.examples, path)
        return bundle, measured

    def _write(self, folder: Path, onnx: bytes) -> Bundle:
        spec, data = self._spec, self._data
        return writing.write(
            folder,
            model=spec.model,
            target=data.target,
            outputs=data.outputs,
            inputs=tuple(field for field in spec.dataset.schema if field.name != data.target),
            onnx=onnx,
            features=Path(str(self._features.__file__)),
            state=data.state,
            golden=data.examples.head(GOLDEN_ROWS),
            run=spec.run,
            dataset=spec.dataset.version,
            as_of=spec.as_of,
            unchecked=tuple(check for check in spec.dataset.unchecked if not check.startswith(f"{data.target}: ")),
        )

    def _predicted(self, module: torch.nn.Module, rows: pd.DataFrame) -> NDArray[Any]:
        """The scores of the trained module itself."""
        arrays = transformed(self._features, self._spec.dataset, rows, self._data.state)
        return predicted(module, arrays, len(self._data.outputs))
