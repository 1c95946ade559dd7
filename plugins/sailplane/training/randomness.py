"""Seeds all random numbers of a run, and saves their state, so that a resumed run draws the same numbers."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any


def seed(number: int) -> None:
    """Seeds Python, and numpy and torch if they are installed."""
    random.seed(number)
    if find_spec("numpy"):
        import numpy as np

        np.random.seed(number % 2**32)
    if find_spec("torch"):
        import torch

        torch.manual_seed(number)


def state() -> dict[str, Any]:
    """The state of all random numbers: tensors if torch is installed, otherwise JSON values."""
    version, numbers, gauss = random.getstate()
    kept: dict[str, Any] = {"python": [version, list(numbers), gauss]}
    if find_spec("numpy"):
        import numpy as np

        name, keys, *rest = np.random.get_state(legacy=True)
        kept["numpy"] = [name, np.asarray(keys).tolist(), *rest]
    if find_spec("torch"):
        import torch

        kept["torch"] = torch.get_rng_state()
        if torch.cuda.is_available():
            kept["cuda"] = torch.cuda.get_rng_state_all()
    return kept


def restore(kept: dict[str, Any]) -> None:
    """Restores a `state`, which may come from a machine with other packages installed."""
    version, numbers, gauss = kept["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "numpy" in kept and find_spec("numpy"):
        import numpy as np

        name, keys, *rest = kept["numpy"]
        np.random.set_state((name, np.array(keys, dtype="uint32"), *rest))
    if "torch" in kept and find_spec("torch"):
        import torch

        # These stay on the CPU, whichever device the checkpoint was loaded to.
        torch.set_rng_state(kept["torch"].cpu())
        if torch.cuda.device_count() == len(kept.get("cuda", ())):
            torch.cuda.set_rng_state_all([state.cpu() for state in kept.get("cuda", ())])
