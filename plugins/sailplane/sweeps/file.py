"""A W&B sweep file, parsed once: its configuration, its notes, and the form that W&B's own server accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sailplane.sweeps import unused_settings
from sailplane.sweeps.document import Section
from sailplane.sweeps.space import EXTENSION, SweepConfig, read_config


class SweepFile:
    """A valid sweep file. `config` has its settings as they are written."""

    def __init__(self, document: Section) -> None:
        self._document = document
        self.config = read_config(document)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads and checks a file. Raises SweepFileError with the file's name, the line and the reason."""
        return cls(Section.read(path))

    def limited(self, trials: int | None) -> SweepConfig:
        """The configuration with the smaller of `trials` and the file's `run_cap`."""
        return replace(self.config, run_cap=min(filter(None, (trials, self.config.run_cap)), default=None))

    def notes(self) -> tuple[str, ...]:
        """A message for each setting that works differently than at W&B."""
        return tuple(unused_settings.notes(self._document))

    def for_wandb(self, config: SweepConfig, name: str) -> dict[str, Any]:
        """The file's settings, without keys that are not W&B's or are not used here.

        :param config: the configuration in effect, from `limited`
        :param name: the sweep's name in the ledger, used to find it there; the file's own name becomes its description
        """
        unused = (EXTENSION, "metrics", *unused_settings.UNUSED)
        document = {key: self._document.get(key) for key in self._document.names() if key not in unused}
        document["method"] = config.method
        document.setdefault("metric", {"name": config.metric, "goal": config.goal})
        if "impute_while_running" in document["metric"]:
            # W&B's schema requires a string where YAML reads a bare false.
            document["metric"]["impute_while_running"] = config.impute_while_running
        if config.run_cap:
            document["run_cap"] = config.run_cap
        if config.name:
            document.setdefault("description", config.name)
        return {**document, "name": name}
