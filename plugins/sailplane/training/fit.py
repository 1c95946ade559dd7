"""One training: user code, data, the train function, the ONNX graph, its validation scores, the bundle."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from sailplane import code, pairing, tracking
from sailplane.bundles import writing
from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import Manifest
from sailplane.errors import JobError, SailplaneError, ServiceError, StorageError, TrainingError
from sailplane.evaluation.metrics import metrics
from sailplane.files import temporary_folder
from sailplane.home import Home
from sailplane.records import Run
from sailplane.registry.lineage import Origin
from sailplane.tracking import sweeps
from sailplane.training.blame import last_line
from sailplane.training.checkpoint_store import StoreShelf, folder_of
from sailplane.training.compute import Compute
from sailplane.training.data import Data, prepare, transformed
from sailplane.training.export import predicted, scores, to_onnx
from sailplane.training.model_check import trained
from sailplane.training.rehearsal import rehearse
from sailplane.training.run import Report, RunHandle, Shelf
from sailplane.training.specs import SweepWorkerSpec, TrainSpec

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

GOLDEN_ROWS: Final = 32


def fit(spec: TrainSpec, compute: Compute | None = None) -> Run | None:
    """Trains, scores the validation window, and writes to the store: the bundle under runs/<run>/bundle, a baseline's
    under runs/<run>/baseline, and the logged metrics in runs/<run>/history.json. Nothing is stored unless everything
    succeeded. With several processes all train; the first does the rest and the others return None."""
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
        """`shelf`, `stop` and `report` are those of the run handle."""
        started = time.monotonic()
        with self._tracked(spec) as tracked, temporary_folder() as scratch:
            made, kept = Path(scratch, "made"), Path(scratch, "checkpoint")
            how: dict[str, Any] = {"report": report, "until": spec.until, "verbose": spec.sweep is None}
            how["stop"] = lambda: stop() or tracked.told_to_stop
            handle = RunHandle(kept, seed=spec.seed, tracked=tracked, shelf=shelf, compute=self._compute, **how)
            module = call(spec.train, spec.config, self._data, handle)
            self._compute.check(spec.train)
            measured = self._judged(spec, spec.train, module, handle, made / "bundle")
            if spec.baseline:
                measured |= self._baseline(spec, kept, made / "baseline")
            (made / "history.json").write_text(json.dumps(handle.history))
            tracked.summarise(measured)
            self._origin.keep(self.storage)
            self._upload(made, f"runs/{spec.run}")
            digest = Bundle.open(made / "bundle").digest
        return self._record(spec, measured, time.monotonic() - started, handle, digest)

    def _baseline(self, spec: TrainSpec, scratch: Path, folder: Path) -> dict[str, float]:
        path, shelf = spec.baseline or "", StoreShelf(self.storage, f"{spec.shelf}/baseline")
        silent = RunHandle(scratch, seed=spec.seed, tracked=_Untracked(), shelf=shelf, verbose=False)
        module = call(path, spec.config, self._data, silent)
        found = self._judged(spec, path, module, silent, folder)
        return {f"baseline_{name}": value for name, value in found.items()}

    def assist(self, spec: TrainSpec, shelf: Shelf) -> None:
        """Trains with the first process, which does everything else."""
        with temporary_folder() as scratch:
            handle = RunHandle(
                Path(scratch), seed=spec.seed, tracked=_Untracked(), shelf=shelf, compute=self._compute, verbose=False
            )
            call(spec.train, spec.config, self._data, handle)
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
        """Uploads everything or nothing."""
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

    def _judged(
        self, spec: TrainSpec, path: str, module: torch.nn.Module, handle: RunHandle, folder: Path
    ) -> dict[str, float]:
        """The model's metrics; its bundle is in `folder`."""
        started, validation = time.monotonic(), self._data.validation
        onnx = to_onnx(module, validation.features, len(self._data.outputs), path)
        measured = metrics(validation.target, scores(onnx, validation.features, path))
        bundle = self._write(spec, folder, onnx)
        rehearse(bundle, lambda rows: self._predicted(spec, module, rows), self._data.examples, path)
        message = ", ".join(f"validation {name} {value:.4f}" for name, value in measured.items())
        _say(f"{path}: {message}; exported and scored", since=started)
        return {**handle.last, **{f"validation_{name}": value for name, value in measured.items()}}

    def _predicted(self, spec: TrainSpec, module: torch.nn.Module, rows: pd.DataFrame) -> NDArray[Any]:
        """Scores of the model as it was trained."""
        arrays = transformed(self._features, spec.dataset, rows, self._data.state)
        return predicted(module, arrays, len(self._data.outputs))

    def _write(self, spec: TrainSpec, folder: Path, onnx: bytes) -> Bundle:
        data = self._data
        unchecked = tuple(check for check in spec.dataset.unchecked if not check.startswith(f"{data.target}: "))
        written = writing.write(
            folder,
            model=spec.model,
            target=data.target,
            outputs=data.outputs,
            inputs=tuple(field for field in spec.dataset.schema if field.name != data.target),
            onnx=onnx,
            features=Path(self._features.__file__),
            state=data.state,
            golden=data.examples.head(GOLDEN_ROWS),
            run=spec.run,
            dataset=spec.dataset.version,
            as_of=spec.as_of,
            unchecked=unchecked,
        )
        if spec.sweep is None:
            _describe(written.manifest)
        return written


def call(path: str, config: Mapping[str, Any], data: Data, handle: RunHandle) -> torch.nn.Module:
    """Calls a train function. Raises TrainingError if it raises, naming the last line of user code, or if it returns
    something other than a torch module, or weights that are not numbers."""
    function, started = code.load(path), time.monotonic()
    try:
        result = function(dict(config), data, handle)
    except SailplaneError:
        raise
    except Exception as error:
        traceback.print_exc()
        got = f"{type(error).__name__}: {error} ({last_line(error)})"
        raise TrainingError("train", path, got=got, remedy="The log holds the full traceback.") from error
    _say(f"{path}: trained", since=started)
    return trained(path, result)


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
