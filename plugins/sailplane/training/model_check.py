"""Checks the result of a train function."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel

from sailplane.errors import TrainingError


def trained(path: str, result: object) -> torch.nn.Module:
    """The model, unwrapped from parallel training. Raises TrainingError, naming the train function's `path`, for
    anything but a torch module, and for weights that are not numbers."""
    if isinstance(result, DistributedDataParallel):
        result = result.module
    if not isinstance(result, torch.nn.Module):
        got, remedy = f"it returned {type(result).__name__}", "Return the trained model."
        raise TrainingError("train", path, got=got, expected="a torch.nn.Module", remedy=remedy)
    for name, weights in result.state_dict().items():
        if isinstance(weights, torch.Tensor) and not torch.isfinite(weights).all():
            bad = int((~torch.isfinite(weights)).sum())
            got = f"{bad} of {weights.numel()} weights of {name!r} are NaN or infinite"
            remedy = "Check for a learning rate that is too high, or inputs that are not finite."
            raise TrainingError("train", path, got=got, remedy=remedy)
    return result
