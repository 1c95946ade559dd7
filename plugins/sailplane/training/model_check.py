"""What a train function gave back."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel

from sailplane.errors import TrainingError


def trained(path: str, result: object) -> torch.nn.Module:
    """The model, without what several processes wrapped it in. Raises TrainingError, which names the train function's
    `path`, for anything but a torch module, and for weights that are no numbers."""
    if isinstance(result, DistributedDataParallel):
        result = result.module
    if not isinstance(result, torch.nn.Module):
        got, remedy = f"it returned {type(result).__name__}", "Return the model that was trained."
        raise TrainingError("train", path, got=got, expected="a torch.nn.Module", remedy=remedy)
    for name, weights in result.state_dict().items():
        if isinstance(weights, torch.Tensor) and not torch.isfinite(weights).all():
            bad = int((~torch.isfinite(weights)).sum())
            got = f"{bad} of {weights.numel()} weights of {name!r} are NaN or infinite"
            remedy = "Look for a learning rate that is too high, or inputs that are not finite."
            raise TrainingError("train", path, got=got, remedy=remedy)
    return result
