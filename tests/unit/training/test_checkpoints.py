"""A checkpoint of a machine without torch, and refused checkpoints."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.training import checkpoints

Find = Callable[[str], importlib.machinery.ModuleSpec | None]


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Find = importlib.util.find_spec
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None if name == "torch" else found(name))


@pytest.mark.usefixtures("no_torch")
def test_plain_values_are_kept_without_torch(tmp_path: Path) -> None:
    content = {"epoch": 3, "step": 4, "state": {"rate": 0.5, "names": ["a", None, True]}}
    checkpoints.save(content, tmp_path / "c")
    assert checkpoints.load(tmp_path / "c") == content


def test_what_was_kept_without_torch_is_read_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "find_spec", lambda _name: None)
        checkpoints.save({"epoch": 1}, tmp_path / "c")
    assert checkpoints.load(tmp_path / "c") == {"epoch": 1}


@pytest.mark.usefixtures("no_torch")
def test_what_is_not_plain_needs_torch(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"Object of type Tensor is not JSON serializable. Keep numbers, texts, lists"
    ):
        checkpoints.save({"state": torch.zeros(1)}, tmp_path / "c")


def test_tensors_that_were_kept_cannot_be_read_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save({"state": torch.ones(2)}, tmp_path / "c")
    assert checkpoints.load(tmp_path / "c")["state"].tolist() == [1.0, 1.0]
    monkeypatch.setattr(checkpoints, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"read checkpoint c: no torch on this machine. Install torch."):
        checkpoints.load(tmp_path / "c")
