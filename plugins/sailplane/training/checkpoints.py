"""Checkpoints as files: torch's format, or JSON without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.files import room_for


def save(content: Mapping[str, Any], file: Path) -> None:
    """Saves tensors and plain values; without torch, only JSON values. TrainingError for anything else, StorageError if
    the disk is full."""
    if find_spec("torch"):
        import torch

        with room_for(file), file.open("wb") as opened:
            try:
                torch.save(dict(content), opened)
            except RuntimeError as error:
                # After a failed write torch cannot close its archive, and only reports that.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
        return
    try:
        file.write_text(json.dumps(content))
    except TypeError as error:
        remedy = "Keep numbers, texts, lists and mappings of them, or install torch."
        raise TrainingError("keep a checkpoint", got=str(error), remedy=remedy) from error


def load(file: Path) -> dict[str, Any]:
    """Loads a checkpoint of `save`, made on this or another machine."""
    with file.open("rb") as opened:
        is_json = opened.read(1) == b"{"
    if is_json:
        return dict(json.loads(file.read_text()))
    if not find_spec("torch"):
        raise ConfigurationError("read checkpoint", file.name, got="no torch on this machine", remedy="Install torch.")
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    # weights_only: a file is data and must not run code.
    return dict(torch.load(file, weights_only=True, map_location=device))
