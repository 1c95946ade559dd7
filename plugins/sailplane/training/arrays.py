"""The arrays of a train function, and their file for machines that have only numpy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sailplane.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows of one window, as arrays.

    :param features: the arrays of `transform` by name, first axis rows
    :param target: [rows], float32 0 or 1, or the int64 index of the class
    """

    features: dict[str, NDArray[Any]]
    target: NDArray[np.generic]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """The `data` of a train function. `state` is what features.fit learned from the train rows; `outputs` names the
    model's probabilities."""

    train: Split
    validation: Split
    state: dict[str, Any]
    target: str
    outputs: tuple[str, ...]


def pack(data: Arrays, file: Path) -> None:
    """Writes one .npz file. Raises DataError for an array of objects, because reading objects would run code."""
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {}
    for name, split in {"train": data.train, "validation": data.validation}.items():
        arrays |= {f"{name}/features/{key}": array for key, array in split.features.items()}
        arrays[f"{name}/target"] = split.target
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise DataError("share array", name, got=f"dtype {array.dtype}", expected="numbers or fixed-width text")
    about = {"state": data.state, "target": data.target, "outputs": data.outputs}
    with file.open("wb") as opened:
        np.savez_compressed(opened, **{"about": np.array(json.dumps(about)), **arrays})  # type: ignore[arg-type]


def unpack(file: Path) -> Arrays:
    """Reads a file of `pack`."""
    import numpy as np

    with np.load(file, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        found = {name: arrays[name] for name in arrays.files if name != "about"}
    return Arrays(
        train=_split(found, "train"),
        validation=_split(found, "validation"),
        **{**about, "outputs": tuple(about["outputs"])},
    )


def _split(found: dict[str, NDArray[Any]], name: str) -> Split:
    prefix = f"{name}/features/"
    features = {key.removeprefix(prefix): array for key, array in found.items() if key.startswith(prefix)}
    return Split(features=features, target=found[f"{name}/target"])
