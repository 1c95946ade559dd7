"""A sweep file as W&B's own server takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sailplane.sweeps import elsewhere
from sailplane.sweeps.document import Section
from sailplane.sweeps.space import EXTENSION, SweepConfig


def original(path: Path, config: SweepConfig, name: str) -> dict[str, Any]:
    """The file's settings, without the keys that are not W&B's or do not count here.

    :param config: the configuration read from the file, with the `run_cap` that counts
    :param name: the sweep's on the ledger, by which it is found there; the file's own is then its description
    """
    file = Section.read(path)
    document = {key: file.get(key) for key in file.names() if key not in (EXTENSION, "metrics", *elsewhere.DECIDED)}
    document["method"] = config.method
    document.setdefault("metric", {"name": config.metric, "goal": config.goal})
    if "impute_while_running" in document["metric"]:
        # W&B's schema wants a text where YAML reads a bare false.
        document["metric"]["impute_while_running"] = config.impute_while_running
    if config.run_cap:
        document["run_cap"] = config.run_cap
    if config.name:
        document.setdefault("description", config.name)
    return {**document, "name": name}
