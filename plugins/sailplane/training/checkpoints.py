"""The checkpoints of a run, as files: in torch's format, or as JSON without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.files import room_for

Kind = Literal["last", "best"]


class Shelf(Protocol):
    """Storage of a run's checkpoints; the run may continue in another process or on another machine."""

    def keep(self, file: Path, kind: Kind) -> None: ...

    def fetch(self, file: Path, kind: Kind) -> bool:
        """Copies the newest intact checkpoint to `file`; False if there is none."""
        ...


class RunCheckpoints:
    """The checkpoints of a run. A checkpoint is a file in `folder` on its way to or from the shelf; `rank` keeps the
    files of several processes apart."""

    def __init__(self, folder: Path, shelf: Shelf, rank: int) -> None:
        self._folder, self._shelf, self._rank = folder, shelf, rank

    def keep(self, content: Mapping[str, Any], *, best: bool) -> None:
        """Keeps the last checkpoint, also as the best one if it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "checkpoint.pt"
        save(content, file)
        # The best comes first: if killed in between, the run repeats this epoch and keeps it again.
        if best:
            self._shelf.keep(file, "best")
        self._shelf.keep(file, "last")
        file.unlink()

    def fetch(self, kind: Kind) -> dict[str, Any] | None:
        """The content of the newest intact checkpoint; None if there is none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{kind}-{self._rank}.pt"
        if not self._shelf.fetch(file, kind):
            return None
        try:
            return load(file)
        finally:
            file.unlink()


def save(content: Mapping[str, Any], file: Path) -> None:
    """Saves tensors and plain values; without torch, only JSON values. Raises TrainingError for other values,
    StorageError if the disk is full."""
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
    """Loads a checkpoint that `save` made on this or another machine. Raises ConfigurationError if it needs torch and
    torch is not installed."""
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
