"""All that is random in a run, by one seed; and where it stands, so that a run that is resumed draws what it would have
drawn."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any


def seed(number: int) -> None:
    """Of Python, and of numpy and torch where they are installed."""
    random.seed(number)
    if find_spec("numpy"):
        import numpy as np

        np.random.seed(number % 2**32)
    if find_spec("torch"):
        import torch

        torch.manual_seed(number)


def state() -> dict[str, Any]:
    """Tensors where torch is installed, else what JSON can say."""
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
    """What `state` gave, perhaps on a machine that has more installed, or less."""
    version, numbers, gauss = kept["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "numpy" in kept and find_spec("numpy"):
        import numpy as np

        name, keys, *rest = kept["numpy"]
        np.random.set_state((name, np.array(keys, dtype="uint32"), *rest))
    if "torch" in kept and find_spec("torch"):
        import torch

        # They are of the CPU wherever the checkpoint was loaded to.
        torch.set_rng_state(kept["torch"].cpu())
        if torch.cuda.device_count() == len(kept.get("cuda", ())):
            torch.cuda.set_rng_state_all([one.cpu() for one in kept.get("cuda", ())])
