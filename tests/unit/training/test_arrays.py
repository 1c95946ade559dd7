from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sailplane.errors import DataError
from sailplane.training.arrays import Arrays, Split, pack, unpack


def arrays(feature: np.ndarray) -> Arrays:  # type: ignore[type-arg]
    split = Split(features={"numbers": feature, "a/b": np.arange(3)}, target=np.array([0.0, 1.0, 1.0], "float32"))
    return Arrays(train=split, validation=split, state={"mean": 0.5, "words": ["é"]}, target="late", outputs=("late",))


def test_what_is_packed_comes_out_as_it_was(tmp_path: Path) -> None:
    packed = arrays(np.array([[1.5, np.nan], [2, 3], [4, 5]], "float32"))
    pack(packed, tmp_path / "data.npz")
    found = unpack(tmp_path / "data.npz")
    assert (found.state, found.target, found.outputs) == (packed.state, packed.target, packed.outputs)
    for name in ("train", "validation"):
        one, other = getattr(packed, name), getattr(found, name)
        assert len(other) == 3
        np.testing.assert_array_equal(one.target, other.target, strict=True)
        assert list(one.features) == list(other.features)
        for key, array in one.features.items():
            np.testing.assert_array_equal(array, other.features[key], strict=True)


def test_objects_are_refused_because_to_read_them_runs_code(tmp_path: Path) -> None:
    objects = np.array(["a", None, {}], dtype=object)
    with pytest.raises(DataError, match="share array train/features/numbers: dtype object; expected numbers or fixed"):
        pack(arrays(objects), tmp_path / "data.npz")
    assert not list(tmp_path.iterdir())
