"""The computing resources of a run: its device, its precision, and the other processes that train the same model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from sailplane.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["float32", "mixed"]


class Compute:
    """The resources of process number `rank` of `processes`. Several processes have joined one process group."""

    def __init__(self, *, rank: int = 0, processes: int = 1, precision: Precision = "float32") -> None:
        self.rank, self.processes, self._precision = rank, processes, precision
        self._is_parallel = False

    @property
    def is_first(self) -> bool:
        """With several processes, only the first logs and keeps checkpoints."""
        return self.rank == 0

    @cached_property
    def device(self) -> torch.device:
        """A GPU if available; each process has its own."""
        import torch

        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.rank % torch.cuda.device_count())

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model itself; with several processes, a wrapper that averages their gradients."""
        self._is_parallel = True
        if self.processes == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)

    def check(self, path: str) -> None:
        """Raises TrainingError if several processes each trained their own model instead of one together."""
        if self.processes > 1 and not self._is_parallel:
            remedy = "Compute the loss with `run.parallel(model)`, and take batches from `run.batches`."
            got = f"{self.processes} processes that do not share their gradients"
            raise TrainingError("train", path, got=got, remedy=remedy)

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision if the run uses it: bfloat16 if the device supports it, otherwise float16."""
        import torch

        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._precision == "mixed")

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Computes the gradients and does one step of the optimizer. With float16 the gradients are scaled, so that
        small values do not become 0."""
        optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(optimizer)
        self._scaler.update()

    def mean(self, row: dict[str, float]) -> dict[str, float]:
        """The mean over the processes, which must use the same names."""
        if self.processes == 1:
            return row
        import torch
        import torch.distributed as dist

        # NCCL only accepts tensors on a GPU.
        values = torch.tensor(list(row.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(values)
        return dict(zip(row, (values / self.processes).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether it is true in at least one process."""
        return flag if self.processes == 1 else bool(self.mean({"flag": float(flag)})["flag"])

    def wait(self) -> None:
        """Waits for all processes."""
        self.any(False)

    def state(self) -> dict[str, Any]:
        """The state of the gradient scaler."""
        return dict(self._scaler.state_dict()) if find_spec("torch") else {}

    def restore(self, kept: Mapping[str, Any]) -> None:
        if kept:
            self._scaler.load_state_dict(dict(kept))

    @cached_property
    def _dtype(self) -> torch.dtype:
        import torch

        supported = self.device.type == "cpu" or torch.cuda.is_bf16_supported()
        return torch.bfloat16 if supported else torch.float16

    @cached_property
    def _scaler(self) -> torch.amp.GradScaler:
        import torch

        enabled = self._precision == "mixed" and self._dtype == torch.float16
        return torch.amp.GradScaler(self.device.type, enabled=enabled)
