"""One training: imports user code, prepares the data, trains, and stores the bundles and the logged metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from sailplane import code, pairing, tracking
from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import Manifest
from sailplane.errors import JobError, ServiceError, StorageError
from sailplane.files import temporary_folder
from sailplane.home import Home
from sailplane.records import Run
from sailplane.registry.lineage import Origin
from sailplane.tracking import sweeps
from sailplane.training.bundling import Bundler
from sailplane.training.checkpoint_store import StoreShelf, folder_of
from sailplane.training.checkpoints import Shelf
from sailplane.training.compute import Compute
from sailplane.training.data import prepare
from sailplane.training.run import Report, RunHandle
from sailplane.training.specs import SweepWorkerSpec, TrainSpec
from sailplane.training.train_function import call


def fit(spec: TrainSpec, compute: Compute | None = None) -> Run | None:
    """Trains, scores the validation window, and writes to the store: the bundle under runs/<run>/bundle, a baseline's
    under runs/<run>/baseline, and the logged metrics in runs/<run>/history.json. Nothing is stored unless everything
    succeeded. With several processes, all of them train; the first one does the rest, and the others return None."""
    trainer = Trainer(spec, compute or Compute(precision=spec.precision))
    if spec.until is not None:
        return trainer.run(spec, StoreShelf(trainer.storage, folder_of(spec.sweep or "", spec.trial or 0)))
    shelf = StoreShelf(trainer.storage, spec.shelf)
    if compute and not compute.is_first:
        trainer.assist(spec, shelf)
        return None
    if compute and compute.processes > 1:
        return trainer.run(spec, shelf)
    with forgetting_errors(spec):
        return trainer.run(spec, shelf)


@contextmanager
def forgetting_errors(spec: TrainSpec) -> Iterator[None]:
    """Deletes the checkpoints after an error that resuming from them would repeat; keeps them after one that a retry
    may fix."""
    try:
        yield
    except (StorageError, ServiceError, JobError):
        raise
    except Exception:
        forget(spec)
        raise


def forget(spec: TrainSpec) -> None:
    """Deletes the checkpoints of a run that ended."""
    StoreShelf(pairing.store(Home.find()), spec.shelf).clear()


class Trainer:
    """Imports user code and prepares data once, for any number of runs."""

    def __init__(self, spec: TrainSpec | SweepWorkerSpec, compute: Compute) -> None:
        started = time.monotonic()
        self._home, self._compute = Home.find(), compute
        self.storage = pairing.store(self._home)
        self._features = code.load(spec.features)
        code.load(spec.train)
        self._origin = Origin.of(code.root(), _code_paths(spec))
        self._data = prepare(self.storage, spec.dataset, self._features, stream=spec.stream)
        _say(f"data: {len(self._data.train)} rows to train, {len(self._data.validation)} to validate", since=started)

    def run(
        self,
        spec: TrainSpec,
        shelf: Shelf,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Report = lambda _step, _row: False,
    ) -> Run:
        """Trains, and stores the results. `shelf`, `stop` and `report` are arguments of the run handle."""
        started = time.monotonic()
        with self._tracked(spec) as tracked, temporary_folder() as scratch:
            results, kept = Path(scratch, "results"), Path(scratch, "checkpoint")
            options: dict[str, Any] = {"report": report, "until": spec.until, "verbose": spec.sweep is None}
            options["stop"] = lambda: stop() or tracked.stop_requested
            handle = RunHandle(kept, seed=spec.seed, tracked=tracked, shelf=shelf, compute=self._compute, **options)
            module = self._called(spec.train, spec, handle)
            self._compute.check(spec.train)
            measured = self._bundled(spec, spec.train, module, handle, results / "bundle")
            if spec.baseline:
                measured |= self._baseline(spec, kept, results / "baseline")
            (results / "history.json").write_text(json.dumps(handle.history))
            tracked.summarise(measured)
            self._origin.keep(self.storage)
            self._upload(results, f"runs/{spec.run}")
            digest = Bundle.open(results / "bundle").digest
        return self._record(spec, measured, time.monotonic() - started, handle, digest)

    def _baseline(self, spec: TrainSpec, scratch: Path, folder: Path) -> dict[str, float]:
        path, shelf = spec.baseline or "", StoreShelf(self.storage, f"{spec.shelf}/baseline")
        silent = RunHandle(scratch, seed=spec.seed, tracked=_Untracked(), shelf=shelf, verbose=False)
        module = self._called(path, spec, silent)
        found = self._bundled(spec, path, module, silent, folder)
        return {f"baseline_{name}": value for name, value in found.items()}

    def assist(self, spec: TrainSpec, shelf: Shelf) -> None:
        """Trains together with the first process, which does everything else."""
        with temporary_folder() as scratch:
            handle = RunHandle(
                Path(scratch), seed=spec.seed, tracked=_Untracked(), shelf=shelf, compute=self._compute, verbose=False
            )
            self._called(spec.train, spec, handle)
            self._compute.check(spec.train)

    def _tracked(self, spec: TrainSpec) -> AbstractContextManager[tracking.Tracked]:
        return tracking.run(
            project=spec.model,
            name=spec.run,
            group=spec.sweep or spec.run,
            config={**spec.config, "seed": spec.seed, "dataset": spec.dataset.version},
            folder=self._home.root,
            sweep=sweeps.find(pairing.ledger(self._home), spec.sweep) if spec.sweep else None,
        )

    def _upload(self, folder: Path, prefix: str) -> None:
        """Uploads all files, or none."""
        try:
            self.storage.upload(folder, prefix)
        except BaseException:
            # An unreachable store cannot be cleaned up, and the reason for the failed upload matters more.
            with suppress(StorageError):
                for path in self.storage.list(prefix):
                    self.storage.delete(path)
            raise

    def _record(
        self, spec: TrainSpec, measured: Mapping[str, float], seconds: float, handle: RunHandle, digest: str
    ) -> Run:
        return Run(
            id=spec.run,
            model=spec.model,
            config=spec.config,
            seed=spec.seed,
            dataset=spec.dataset,
            as_of=spec.as_of,
            metrics=measured,
            bundle=self.storage.uri(f"runs/{spec.run}/bundle"),
            seconds=round(seconds, 3),
            baseline=self.storage.uri(f"runs/{spec.run}/baseline") if spec.baseline else None,
            sweep=spec.sweep,
            trial=spec.trial,
            features=spec.features,
            train=spec.train,
            code=self._origin.code,
            environment=self._origin.environment,
            # Earlier steps ran on another machine.
            device=handle.device.type if spec.until is None else "elsewhere",
            threads=torch.get_num_threads(),
            processes=spec.processes,
            precision=spec.precision,
            stream=spec.stream,
            steps=max((row["step"] for row in handle.history), default=None),
            digest=digest,
            baseline_train=spec.baseline or "",
        )

    def _called(self, path: str, spec: TrainSpec, handle: RunHandle) -> torch.nn.Module:
        started = time.monotonic()
        module = call(path, spec.config, self._data, handle)
        _say(f"{path}: trained", since=started)
        return module

    def _bundled(
        self, spec: TrainSpec, path: str, module: torch.nn.Module, handle: RunHandle, folder: Path
    ) -> dict[str, float]:
        """Writes the bundle to `folder`. Returns the last values that the run logged, and the bundle's metrics."""
        started = time.monotonic()
        bundle, measured = Bundler(spec, self._features, self._data).bundle(folder, module, path)
        if spec.sweep is None:
            _describe(bundle.manifest)
        message = ", ".join(f"validation {name} {value:.4f}" for name, value in measured.items())
        _say(f"{path}: {message}; exported and scored", since=started)
        return {**handle.last, **{f"validation_{name}": value for name, value in measured.items()}}


def _code_paths(spec: TrainSpec | SweepWorkerSpec) -> tuple[str, ...]:
    baseline = spec.baseline if isinstance(spec, TrainSpec) else None
    return (spec.features, spec.train, *([baseline] if baseline else []))


class _Untracked:
    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Discarded: the baseline has no run of its own, and only the first of several processes logs."""


def _describe(manifest: Manifest) -> None:
    if unread := [field.name for field in manifest.inputs if not field.required]:
        _say(f"transform does not read {', '.join(unread)}: requests may omit them")
    if manifest.unchecked:
        _say(f"training checks not applied to requests: {'; '.join(manifest.unchecked)}")


def _say(text: str, *, since: float | None = None) -> None:
    taken = f" ({time.monotonic() - since:.1f} s)" if since is not None else ""
    print(f"{text}{taken}", flush=True)  # noqa: T201
