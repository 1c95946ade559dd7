"""The process of a job: `python -m sailplane.training.process FOLDER` runs FOLDER/job.json and writes
FOLDER/result.json or FOLDER/error.json."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sailplane.errors import SailplaneError
from sailplane.files import replace_file, room_for
from sailplane.training import distributed
from sailplane.training.distributed import Stopped
from sailplane.training.restart import guarded
from sailplane.training.specs import ScoreSpec, Spec, SweepWorkerSpec, TrainSpec, spec_from


def main(folder: Path) -> int:
    os.umask(0o077)
    faulthandler.enable()
    spec = spec_from(json.loads((folder / "job.json").read_text()))
    if isinstance(spec, SweepWorkerSpec):
        return guarded(lambda: _do(spec, folder), started=folder / "started")
    return _do(spec, folder)


def _do(spec: Spec, folder: Path) -> int:
    signal.signal(signal.SIGTERM, _stop)
    try:
        with room_for(folder), _temporary_files(distributed.own_file(folder, "scratch")):
            _use_code(spec)
            result = json.dumps(_run(spec, folder))
        replace_file(distributed.own_file(folder, "result.json"), result)
        _forget(spec)
    except SailplaneError as error:
        return _failed(folder, type(error).__name__, str(error))
    except Stopped as stopped:
        _failed(folder, "JobError", f"{folder.name} was stopped by SIGTERM.")
        return int(stopped.code or 0)
    except BaseException as error:
        traceback.print_exc()
        log = folder / "log.txt"
        return _failed(folder, "JobError", f"{folder.name}: {type(error).__name__}: {error}. See {log}.")
    return 0


def _use_code(spec: Spec) -> None:
    """Uses the code version of the job's run; downloads it if this machine has no copy."""
    if isinstance(spec, ScoreSpec) or spec.code is None:
        return
    from sailplane import code
    from sailplane.home import Home
    from sailplane.registry.pins import unpacked
    from sailplane.storage import Storage

    home = Home.find()
    code.use(unpacked(home, Storage(home.store), spec.code))


def _run(spec: Spec, folder: Path) -> dict[str, Any]:
    if isinstance(spec, ScoreSpec):
        return _score(spec)
    if isinstance(spec, TrainSpec) and distributed.needs_launch(spec):
        from sailplane.training.fit import forgetting_errors

        with forgetting_errors(spec):
            return distributed.launch(spec, folder)
    # Torch is imported here, after the handler for SIGTERM is in place.
    import torch

    from sailplane.training.lazy_compile import postpone_compiler

    postpone_compiler()
    # Trials run in parallel, one per core. With more threads than cores each is several times slower.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if isinstance(spec, TrainSpec):
        from sailplane.training.fit import fit

        with distributed.joined(spec) as compute:
            run = fit(spec, compute)
        return run.to_dict() if run else {}
    from sailplane.training.worker import work

    return work(spec, folder)


def _score(spec: ScoreSpec) -> dict[str, Any]:
    """Runs a batch prediction, which does not need torch."""
    from sailplane import pairing
    from sailplane.home import Home
    from sailplane.predictions import score

    scored = score(
        pairing.store(Home.find()),
        bundle=spec.bundle,
        digest=spec.digest,
        dataset=spec.dataset,
        interval=spec.interval,
        keep=spec.keep,
    )
    return scored.to_dict()


def _forget(spec: Spec) -> None:
    """Deletes the checkpoints after the result is written. If killed earlier, the next try resumes from them."""
    if isinstance(spec, TrainSpec) and not distributed.is_rank():
        from sailplane.training.fit import forget

        forget(spec)


@contextmanager
def _temporary_files(folder: Path) -> Iterator[None]:
    """Deletes the temporary files of this process, of W&B and of the user's code; after SIGKILL the next try deletes
    them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(number: int, _frame: FrameType | None) -> None:
    """Unwinds the stack, so that the W&B run is finished and a trial's lease is returned."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped(128 + number)


def _failed(folder: Path, kind: str, message: str) -> int:
    print(message, file=sys.stderr, flush=True)  # noqa: T201
    replace_file(distributed.own_file(folder, "error.json"), json.dumps({"error": kind, "message": message}))
    return 1


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    # Everything is written; an orderly shutdown of torch and onnxruntime only takes time.
    os._exit(code)
