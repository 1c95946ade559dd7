"""Several processes that train one model: torchrun starts them, each is this package's training process with a rank.

They meet in a file and talk over loopback: torchrun's own store would listen on all interfaces.
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
# One that waits for another which hangs is not to wait for ever.
SILENCE: Final = timedelta(hours=1)


class Stopped(SystemExit):
    """SIGTERM came."""


def mine(folder: Path, name: str) -> Path:
    """The file or folder of that name: each of several processes has one of its own."""
    file = folder / name
    return file.with_stem(f"{file.stem}-{os.environ['RANK']}") if is_one_of_several() else file


def is_one_of_several() -> bool:
    return MEETING in os.environ and "RANK" in os.environ


def is_to_be_launched(spec: TrainSpec) -> bool:
    return spec.processes > 1 and not is_one_of_several()


def launch(spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Starts the processes and waits for all; the result of the first. Raises what the one that failed first left, or
    JobError if it left nothing; then all others are ended."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    for stale in [*folder.glob("error-*.json"), *folder.glob("result-*.json")]:
        stale.unlink()
    meeting = folder / "scratch" / uuid.uuid4().hex
    os.environ |= {MEETING: str(meeting), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    os.environ |= {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}
    told = ["--nnodes=1", f"--nproc-per-node={spec.processes}", "--max-restarts=0", "--local-addr=127.0.0.1"]
    told += ["--rdzv-backend=c10d", f"--rdzv-endpoint={meeting}.torchrun", "--rdzv-conf=store_type=file"]
    try:
        run(parse_args([*told, "--module", "sailplane.training.process", str(folder)]))  # type: ignore[no-untyped-call]
    except SignalException as stopped:
        raise Stopped(128 + stopped.sigval) from stopped
    except ChildFailedError as error:
        raise _cause(error.failures, spec.processes, folder) from error
    return dict(json.loads((folder / "result-0.json").read_text()))


def _cause(failures: Mapping[int, ProcessFailure], processes: int, folder: Path) -> SailplaneError:
    """When one dies, others fail for want of it: what was killed is the cause, else what was said first."""
    killed = [rank for rank, failure in failures.items() if failure.exitcode < 0]
    said = sorted(folder.glob("error-*.json"), key=lambda file: file.stat().st_mtime_ns)
    if said and not killed:
        return left_in(said[0])
    rank = (killed or list(failures))[0]
    how = f"killed by {failures[rank].signal_name()}" if killed else f"gone with exit code {failures[rank].exitcode}"
    remedy = "The others were ended; a retry goes on from the last checkpoint."
    return JobError("train", folder.name, got=f"process {rank} of {processes} was {how}", remedy=remedy)


def left_in(file: Path) -> SailplaneError:
    """The error that a process left, of the class that it raised."""
    left = json.loads(file.read_text())
    error: SailplaneError = getattr(errors, left["error"], JobError)(left["message"].removesuffix("."))
    return error


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Compute]:
    """This process as one of those that train. Raises ConfigurationError for fewer GPUs than processes."""
    if not is_one_of_several():
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
    """It ends its processes, unless it is killed itself: they would go on beside those of the next try."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
