"""Calls a train function and checks its result."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from sailplane import code
from sailplane.errors import SailplaneError, TrainingError

if TYPE_CHECKING:
    from sailplane.training.data import Data
    from sailplane.training.run import RunHandle


def call(path: str, config: Mapping[str, Any], data: Data, handle: RunHandle) -> torch.nn.Module:
    """The model that the train function at `path` returns, unwrapped from parallel training.

    Raises TrainingError if the function raises, naming the last line of user code, if it returns something other than a
    torch module, or if a weight is not a finite number.
    """
    function = code.load(path)
    try:
        result = function(dict(config), data, handle)
    except SailplaneError:
        raise
    except Exception as error:
        traceback.print_exc()
        got = f"{type(error).__name__}: {error} ({last_line(error)})"
        raise TrainingError("train", path, got=got, remedy="The log holds the full traceback.") from error
    model = _module(path, result)
    _check_weights(path, model)
    return model


def last_line(error: BaseException) -> str:
    """The deepest frame in the project's own files, otherwise the deepest frame of all."""
    frames = traceback.extract_tb(error.__traceback__)
    include = str(code.root() / "include")
    frame = next((frame for frame in reversed(frames) if frame.filename.startswith(include)), frames[-1])
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def _module(path: str, result: object) -> torch.nn.Module:
    if isinstance(result, DistributedDataParallel):
        result = result.module
    if not isinstance(result, torch.nn.Module):
        got, remedy = f"it returned {type(result).__name__}", "Return the trained model."
        raise TrainingError("train", path, got=got, expected="a torch.nn.Module", remedy=remedy)
    return result


def _check_weights(path: str, model: torch.nn.Module) -> None:
    for name, weights in model.state_dict().items():
        if isinstance(weights, torch.Tensor) and not torch.isfinite(weights).all():
            bad = int((~torch.isfinite(weights)).sum())
            got = f"{bad} of {weights.numel()} weights of {name!r} are NaN or infinite"
            remedy = "Check for a learning rate that is too high, or inputs that are not finite."
            raise TrainingError("train", path, got=got, remedy=remedy)
