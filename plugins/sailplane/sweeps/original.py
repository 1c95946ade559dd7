"""A sweep file as W&B's own server takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sailplane.sweeps.document import Section
from sailplane.sweeps.space import EXTENSION, SweepConfig


def original(path: Path, config: SweepConfig, name: str) -> dict[str, Any]:
    """What the file says, without what stands under the key that is not W&B's.

    :param config: what was read of the file, with the `run_cap` that overrules it
    :param name: the sweep's on the ledger, by which it is found there; the file's own is then its description
    """
    file = Section.parse(path.read_text(encoding="utf-8"), path.name)
    document = {key: file.get(key) for key in file.names() if key != EXTENSION}
    if "impute_while_running" in document["metric"]:
        # W&B's schema wants a text where YAML reads a bare false.
        document["metric"]["impute_while_running"] = config.impute_while_running
    if config.run_cap:
        document["run_cap"] = config.run_cap
    if config.name:
        document.setdefault("description", config.name)
    return {**document, "name": name}
