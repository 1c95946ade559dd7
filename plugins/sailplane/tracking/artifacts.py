"""A registered model at W&B: an artifact, beside the runs, that refers to the model's location.

`python -m sailplane.tracking.artifacts` reads an artifact as JSON and logs it, in a separate process, because W&B's
client keeps its settings and a service for the life of a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import environ
from pathlib import Path
from typing import Any, Final

from sailplane import tracking
from sailplane.code import with_package
from sailplane.records import Model

SECONDS: Final = 180


@dataclass(frozen=True, kw_only=True)
class ModelArtifact:
    """An artifact that refers to files. `references` are their URIs by name; with equal references W&B creates no
    second version."""

    project: str
    name: str
    version: str
    references: Mapping[str, str]
    metadata: Mapping[str, Any]
    folder: str


def link(model: Model, url: str, folder: Path, settings: Mapping[str, str]) -> str:
    """Logs an artifact of type model that refers to the store and to `url`, with the version as its alias, if there is
    a key. Returns a message, which is empty without a key and has the reason if W&B fails. Raises no error.

    :param settings: W&B's variables to add to the environment
    """
    if not tracking.may_send({**environ, **settings}):
        return ""
    artifact = ModelArtifact(
        project=model.name,
        name=model.name,
        version=model.version,
        references={"store": model.uri, "hub": url},
        metadata={"digest": model.digest, "run": model.run, "dataset": model.dataset, **model.metrics},
        folder=str(folder),
    )
    command, env = [sys.executable, "-m", "sailplane.tracking.artifacts"], {**with_package(), **settings}
    try:
        ended = subprocess.run(
            command, input=json.dumps(asdict(artifact)), env=env, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"W&B has no artifact of {model.name} {model.version}: no answer within {SECONDS} s"
    if ended.returncode:
        # The last line of a traceback that is not indented is the error.
        reason = next((line for line in reversed(ended.stderr.splitlines()) if line[:1].strip()), "no reason given")
        return f"W&B has no artifact of {model.name} {model.version}: {reason}"
    return ended.stdout.strip()


def _log(artifact: ModelArtifact) -> None:
    about = {"project": artifact.project, "name": f"publish {artifact.version}", "group": "publish"}
    with tracking.run(**about, config={"version": artifact.version}, folder=Path(artifact.folder)) as tracked:
        online = tracked.refer(artifact.name, "model", artifact.references, artifact.metadata, alias=artifact.version)
    if online:
        print(f"W&B: {artifact.project}/{artifact.name}:{artifact.version} refers to it")  # noqa: T201


if __name__ == "__main__":
    _log(ModelArtifact(**json.load(sys.stdin)))
