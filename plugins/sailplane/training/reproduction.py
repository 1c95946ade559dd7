"""Retrains a registered model from its lineage and compares the results.

It runs in a separate process with the archived code as its project, and with a temporary store and ledger. The
project's own store is only read.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sailplane.bundles.bundle import Bundle
from sailplane.code import with_package
from sailplane.datasets.copies import copy
from sailplane.errors import ModelError
from sailplane.files import private_folder
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval, Model, Record, Run
from sailplane.registry import environment, lineage
from sailplane.registry.models import fetch, fetch_bundle
from sailplane.registry.sources import unpack
from sailplane.storage import Storage
from sailplane.training.jobs import THREADS, Job
from sailplane.training.specs import TrainSpec

POLL_SECONDS: Final = 0.2
# Tolerance of metrics on devices that add in a different order each time.
ABSOLUTE: Final = 0.01
RELATIVE: Final = 0.02
# The files of a bundle that training made, besides the feature code.
WEIGHTS: Final = ("model.onnx", "state.json", "golden.json")


@dataclass(frozen=True, kw_only=True)
class Reproduction(Record):
    """The outcome of a retraining. With `exact` the bytes had to agree, otherwise the metrics within a tolerance.
    `differences` are those between the results, `environment` those between the installed packages. `then` and `now`
    are the metrics on the window `validation`."""

    model: str
    version: str
    agrees: bool
    exact: bool
    device: str
    environment: tuple[str, ...]
    differences: tuple[str, ...]
    then: Mapping[str, float]
    now: Mapping[str, float]
    validation: Interval
    seconds: float


def reproduce(
    home: Home, storage: Storage, model: Model, tell: Callable[[str], object] = lambda _line: None
) -> Reproduction:
    """Retrains the model, and compares the results. `tell` receives the training log. Raises ModelError for a model
    without lineage, or with missing code or bundle; DataError for a missing partition; and any error of the
    training."""
    run = _lineage(model)
    with tempfile.TemporaryDirectory(prefix="reproduce-", dir=private_folder(home.root)) as scratch:
        folder = Path(scratch)
        before = fetch(storage, model, folder / "before")
        unpack(lineage.archived_code(storage, run.code), run.code, _new_folder(folder / "project"))
        apart = Storage(_new_folder(folder / "store").as_uri())
        Ledger.create(_ledger(folder))
        spec = _specification(run, copy(storage, run.dataset, apart).uri)
        again = _train(spec, folder, _settings(run, folder), tell)
        after = fetch_bundle(apart, again.bundle, folder / "after")
        return _compared(model, run, before, again, after, _environment(storage, run))


def _lineage(model: Model) -> Run:
    run = model.lineage
    if run is None or not run.code:
        got = "it was registered without its lineage"
        remedy = "Versions trained from now on have a lineage."
        raise ModelError("reproduce", f"{model.name} {model.version}", got=got, remedy=remedy)
    return run


def _specification(run: Run, dataset: str) -> TrainSpec:
    """The specification of the same run. It keeps the run's name, which is part of the bundle's digest. A trial that
    was stopped early ends at the same step."""
    values = run.content()
    names = ("model", "as_of", "features", "train", "config", "seed", "processes", "precision", "stream")
    kept = {name: values[name] for name in names}
    trial = {"sweep": run.sweep, "trial": run.trial, "until": run.steps} if run.sweep else {}
    return TrainSpec.from_dict({"run": run.id, "dataset": {**values["dataset"], "uri": dataset}, **kept, **trial})


def _train(spec: TrainSpec, folder: Path, settings: Mapping[str, str], tell: Callable[[str], object]) -> Run:
    job, offset = Job(folder / "home" / "jobs" / "again"), 0
    try:
        job.start(spec, None, settings)
        while True:
            active = job.state() == "running"
            text, offset = job.read_log(offset)
            for line in text.splitlines():
                tell(line)
            if not active:
                return Run.from_dict(job.result())
            time.sleep(POLL_SECONDS)
    finally:
        job.stop()


def _settings(run: Run, folder: Path) -> dict[str, str]:
    """The settings that locate a process's project and state."""
    settings = {
        "SAILPLANE_PROJECT": str(folder / "project"),
        "SAILPLANE_HOME": str(folder / "home"),
        "SAILPLANE_STORE": (folder / "store").as_uri(),
        "SAILPLANE_LEDGER": _ledger(folder),
        "WANDB_MODE": "offline",
        # The checkout's modules must not replace modules that the archive lacks.
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(_path_without_projects()),
        **dict.fromkeys(THREADS, str(run.threads)),
    }
    # A model that was trained without a GPU is retrained without a GPU.
    return {**settings, "CUDA_VISIBLE_DEVICES": ""} if run.device == "cpu" else settings


def _ledger(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def _path_without_projects() -> list[str]:
    path = with_package()["PYTHONPATH"].split(os.pathsep)
    return [entry for entry in path if not Path(entry, "include").is_dir()]


def _environment(storage: Storage, run: Run) -> tuple[str, ...]:
    recorded = lineage.recorded_packages(storage, run.environment)
    if recorded is None:
        return ("the original list of packages is gone or damaged",)
    return environment.differences(recorded, environment.installed())


def _compared(
    model: Model, run: Run, before: Bundle, again: Run, after: Bundle, environment: tuple[str, ...]
) -> Reproduction:
    # Several processes add numbers in no fixed order.
    exact = run.device == "cpu" and run.processes == 1
    then, now = _validation(run), _validation(again)
    unequal = _unequal(then, now, exact=exact)
    changed = [name for name in WEIGHTS if before.manifest.files[name] != after.manifest.files[name]] if exact else []
    # With `until` a run records the device "elsewhere", because its first steps may have run on another machine.
    device = run.device if again.device == "elsewhere" else again.device
    differences = [f"{name} differs" for name in changed]
    differences += [f"{name} {then[name]:.6f} then, {now.get(name, math.nan):.6f} now" for name in unequal]
    differences += [_off(before, after)] if "golden.json" in changed else []
    differences += [f"trained on {run.device} then, on {device} now"] if device != run.device else []
    return Reproduction(
        model=model.name,
        version=model.version,
        agrees=not (changed if exact else unequal),
        exact=exact,
        device=device,
        environment=environment,
        differences=tuple(differences),
        then=then,
        now=now,
        validation=run.dataset.windows.validation,
        seconds=again.seconds,
    )


def _validation(run: Run) -> dict[str, float]:
    return {name: value for name, value in sorted(run.metrics.items()) if name.startswith("validation_")}


def _unequal(then: Mapping[str, float], now: Mapping[str, float], *, exact: bool) -> list[str]:
    near: dict[str, Any] = {"rel_tol": 0.0, "abs_tol": 0.0} if exact else {"rel_tol": RELATIVE, "abs_tol": ABSOLUTE}
    return [name for name in then if not math.isclose(then[name], now.get(name, math.nan), **near)]


def _off(before: Bundle, after: Bundle) -> str:
    pairs = zip(before.golden_scores, after.golden_scores, strict=False)
    off = max((abs(a - b) for old, new in pairs for a, b in zip(old, new, strict=False)), default=0.0)
    return f"the golden rows' scores are off by up to {off:.2g}"


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder
