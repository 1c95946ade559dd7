"""A sweep file in the form that W&B's own server accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sailplane.sweeps import elsewhere
from sailplane.sweeps.document import Section
from sailplane.sweeps.space import EXTENSION, SweepConfig


def original(path: Path, config: SweepConfig, name: str) -> dict[str, Any]:
    """The file's settings, without keys that are not W&B's or are ignored here.

    :param config: the configuration read from the file, with the effective `run_cap`
    :param name: the sweep's name in the ledger, used to find it there; the file's own name becomes its description
    """
    file = Section.read(path)
    document = {key: file.get(key) for key in file.names() if key not in (EXTENSION, "metrics", *elsewhere.DECIDED)}
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
