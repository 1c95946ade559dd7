"""One training: user code, data, the train function, the ONNX graph, its validation scores, the bundle."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from sailplane import code, tracking
from sailplane.errors import SailplaneError, StorageError, TrainingError
from sailplane.evaluation.metrics import metrics
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Run
from sailplane.registry import bundle
from sailplane.storage import Storage
from sailplane.tracking import sweeps
from sailplane.training.data import Data, prepare
from sailplane.training.export import scores, to_onnx
from sailplane.training.run import Report, RunHandle, Shelf
from sailplane.training.shelf import StoreShelf
from sailplane.training.specs import SweepWorkerSpec, TrainSpec


def fit(spec: TrainSpec, folder: Path) -> Run:
    """Train, score on the validation window, and put the bundle on the store under runs/<run>/bundle; the baseline's,
    where one is named, under runs/<run>/baseline. Nothing is on the store unless all of it succeeded."""
    shelf = StoreShelf(spec.sweep or "", spec.trial or 0) if spec.until is not None else None
    return Trainer(spec).run(spec, folder, shelf=shelf)


class Trainer:
    """User code imported once and data prepared once, for as many runs as are asked of it."""

    def __init__(self, spec: TrainSpec | SweepWorkerSpec) -> None:
        started = time.monotonic()
        self._home = Home.find()
        self._storage = Storage(self._home.store)
        self._features = code.load(spec.features)
        code.load(spec.train)
        self._data = prepare(self._storage, spec.dataset, self._features)
        _say(f"data: {len(self._data.train)} rows to train, {len(self._data.validation)} to validate", since=started)

    def run(
        self,
        spec: TrainSpec,
        folder: Path,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Report = lambda _step, _row: False,
        shelf: Shelf | None = None,
    ) -> Run:
        """`stop`, `report` and `shelf` are the run handle's; `folder` holds its checkpoints meanwhile."""
        started = time.monotonic()
        with (
            self._tracked(spec) as tracked,
            _checkpoints(folder / "checkpoints") as checkpoints,
            tempfile.TemporaryDirectory() as scratch,
        ):
            how: dict[str, Any] = {"report": report, "shelf": shelf, "until": spec.until}
            how["stop"] = lambda: stop() or tracked.told_to_stop
            handle = RunHandle(checkpoints, seed=spec.seed, tracked=tracked, verbose=spec.sweep is None, **how)
            measured = self._contend(spec, spec.train, handle, Path(scratch, "bundle"))
            if spec.baseline:
                silent = RunHandle(checkpoints / "baseline", seed=spec.seed, tracked=_Untracked(), verbose=False)
                found = self._contend(spec, spec.baseline, silent, Path(scratch, "baseline"))
                measured |= {f"baseline_{name}": value for name, value in found.items()}
            tracked.summarise(measured)
            self._upload(Path(scratch), f"runs/{spec.run}")
        return self._record(spec, measured, time.monotonic() - started)

    def _tracked(self, spec: TrainSpec) -> AbstractContextManager[tracking.Tracked]:
        return tracking.run(
            project=spec.model,
            name=spec.run,
            group=spec.sweep or spec.run,
            config={**spec.config, "seed": spec.seed, "dataset": spec.dataset.version},
            folder=self._home.root,
            sweep=sweeps.find(Ledger.at(self._home), spec.sweep) if spec.sweep else None,
        )

    def _upload(self, folder: Path, prefix: str) -> None:
        """All or nothing."""
        try:
            self._storage.upload(folder, prefix)
        except BaseException:
            # A store that is away cannot be cleaned, and why the upload failed is what matters.
            with suppress(StorageError):
                for path in self._storage.list(prefix):
                    self._storage.delete(path)
            raise

    def _record(self, spec: TrainSpec, measured: Mapping[str, float], seconds: float) -> Run:
        return Run(
            id=spec.run,
            model=spec.model,
            config=spec.config,
            seed=spec.seed,
            dataset=spec.dataset,
            as_of=spec.as_of,
            metrics=measured,
            bundle=self._storage.uri(f"runs/{spec.run}/bundle"),
            seconds=round(seconds, 3),
            baseline=self._storage.uri(f"runs/{spec.run}/baseline") if spec.baseline else None,
            sweep=spec.sweep,
            trial=spec.trial,
        )

    def _contend(self, spec: TrainSpec, path: str, handle: RunHandle, folder: Path) -> dict[str, float]:
        """The model's metrics; its bundle lies in `folder`."""
        started, validation = time.monotonic(), self._data.validation
        module = call(path, spec.config, self._data, handle)
        trained = time.monotonic()
        onnx = to_onnx(module, validation.features, len(self._data.outputs), path)
        measured = metrics(validation.target, scores(onnx, validation.features, path))
        self._write(spec, folder, onnx)
        _say(
            f"{path}: {', '.join(f'validation {name} {value:.4f}' for name, value in measured.items())}; "
            f"trained {trained - started:.1f} s, exported and scored {time.monotonic() - trained:.1f} s"
        )
        return {**handle.last, **{f"validation_{name}": value for name, value in measured.items()}}

    def _write(self, spec: TrainSpec, folder: Path, onnx: bytes) -> None:
        data = self._data
        bundle.write(
            folder,
            model=spec.model,
            target=data.target,
            outputs=data.outputs,
            inputs=tuple(field for field in spec.dataset.schema if field.name != data.target),
            onnx=onnx,
            features=Path(self._features.__file__),
            state=data.state,
            golden=data.examples,
            run=spec.run,
            dataset=spec.dataset.version,
            as_of=spec.as_of,
        )


def call(path: str, config: Mapping[str, Any], data: Data, handle: RunHandle) -> torch.nn.Module:
    """Call a train function. Raises TrainingError if it raises, naming the last line of user code, or if what it
    returns is no torch module."""
    function = code.load(path)
    try:
        module = function(dict(config), data, handle)
    except SailplaneError:
        raise
    except Exception as error:
        traceback.print_exc()
        got = f"{type(error).__name__}: {error} ({_last_line(error)})"
        raise TrainingError("train", path, got=got, remedy="The log holds the full traceback.") from error
    if not isinstance(module, torch.nn.Module):
        raise TrainingError(
            "train",
            path,
            got=f"it returned {type(module).__name__}",
            expected="a torch.nn.Module",
            remedy="Return the model that was trained.",
        )
    return module


@contextmanager
def _checkpoints(folder: Path) -> Iterator[Path]:
    """They stay only where the process was killed or told to stop: an error would come again from where they go on."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


class _Untracked:
    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """The baseline's curve belongs to no run of its own."""


def _last_line(error: BaseException) -> str:
    """The deepest frame in the project's own files, else the deepest one."""
    frames = traceback.extract_tb(error.__traceback__)
    include = str(Home.find().project / "include")
    frame = next((frame for frame in reversed(frames) if frame.filename.startswith(include)), frames[-1])
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def _say(text: str, *, since: float | None = None) -> None:
    taken = f" ({time.monotonic() - since:.1f} s)" if since is not None else ""
    print(f"{text}{taken}", flush=True)  # noqa: T201
