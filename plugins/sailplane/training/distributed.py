"""Several processes train one model. Torchrun starts them; each is this package's training process with a rank.

They meet through a file and communicate over loopback, because torchrun's own store would listen on all interfaces.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sailplane import errors
from sailplane.errors import ConfigurationError, JobError, SailplaneError
from sailplane.training.compute import Compute
from sailplane.training.specs import TrainSpec

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

POLL_SECONDS: Final = 0.5
MEETING: Final = "SAILPLANE_RANKS_MEET_AT"
LOOPBACK: Final = "lo0" if sys.platform == "darwin" else "lo"
# No process waits forever for another that hangs.
SILENCE: Final = timedelta(hours=1)


class Stopped(SystemExit):
    """This process received SIGTERM."""


def own_file(folder: Path, name: str) -> Path:
    """This process's own file or folder with that name; several processes share `folder`."""
    file = folder / name
    return file.with_stem(f"{file.stem}-{os.environ['RANK']}") if is_rank() else file


def is_rank() -> bool:
    """Whether torchrun started this process as one of several that train a model."""
    return MEETING in os.environ and "RANK" in os.environ


def needs_launch(spec: TrainSpec) -> bool:
    """Whether this process must start the processes that train the model."""
    return spec.processes > 1 and not is_rank()


def launch(spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Starts the processes, waits for all of them, and returns the result of the first. If a process fails, the others
    are stopped, and the error of the first failure is raised; JobError if it left none."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    for stale in [*folder.glob("error-*.json"), *folder.glob("result-*.json")]:
        stale.unlink()
    meeting = folder / "scratch" / uuid.uuid4().hex
    os.environ |= {MEETING: str(meeting), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    os.environ |= {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}
    arguments = ["--nnodes=1", f"--nproc-per-node={spec.processes}", "--max-restarts=0", "--local-addr=127.0.0.1"]
    arguments += ["--rdzv-backend=c10d", f"--rdzv-endpoint={meeting}.torchrun", "--rdzv-conf=store_type=file"]
    try:
        run(parse_args([*arguments, "--module", "sailplane.training.process", str(folder)]))  # type: ignore[no-untyped-call]
    except SignalException as stopped:
        raise Stopped(128 + stopped.sigval) from stopped
    except ChildFailedError as error:
        raise _cause(error.failures, spec.processes, folder) from error
    return dict(json.loads((folder / "result-0.json").read_text()))


def _cause(failures: Mapping[int, ProcessFailure], processes: int, folder: Path) -> SailplaneError:
    """When a process dies, others fail as a result. A killed process is the cause, otherwise the first error."""
    killed = [rank for rank, failure in failures.items() if failure.exitcode < 0]
    error_files = sorted(folder.glob("error-*.json"), key=lambda file: file.stat().st_mtime_ns)
    if error_files and not killed:
        return read_error(error_files[0])
    rank = (killed or list(failures))[0]
    outcome = (
        f"was killed by {failures[rank].signal_name()}" if killed else f"exited with code {failures[rank].exitcode}"
    )
    remedy = "The others were stopped; a retry continues from the last checkpoint."
    return JobError("train", folder.name, got=f"process {rank} of {processes} {outcome}", remedy=remedy)


def read_error(file: Path) -> SailplaneError:
    """The error that a process left, in its original class."""
    left = json.loads(file.read_text())
    error: SailplaneError = getattr(errors, left["error"], JobError)(left["message"].removesuffix("."))
    return error


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Compute]:
    """Joins this process to the training. Raises ConfigurationError for fewer GPUs than processes."""
    if not is_rank():
        yield Compute(precision=spec.precision)
        return
    import torch
    import torch.distributed as dist

    rank, gpus = int(os.environ["RANK"]), torch.cuda.device_count()
    if 0 < gpus < spec.processes:
        got, expected = f"processes={spec.processes}", f"at most {gpus}, one for each GPU"
        raise ConfigurationError("train", spec.train, got=got, expected=expected)
    threading.Thread(target=_end_with_torchrun, args=(os.getppid(),), daemon=True, name="lifeline").start()
    dist.init_process_group(
        "nccl" if gpus else "gloo",
        init_method=f"file://{os.environ[MEETING]}",
        rank=rank,
        world_size=spec.processes,
        timeout=SILENCE,
    )
    yield Compute(rank=rank, processes=spec.processes, precision=spec.precision)
    dist.destroy_process_group()


def _end_with_torchrun(parent: int) -> None:
    """Ends this process with torchrun. If torchrun is killed, it cannot end its processes, and they would run alongside
    those of the next try."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
