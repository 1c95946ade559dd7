"""The most that one training of the example project may leave on a disk, in bytes. The arithmetic for a year in
docker/README.md uses these numbers."""

from __future__ import annotations

from typing import Final

TRAINING_BYTES: Final = 180_000
REPORT_BYTES: Final = 100_000
JOB_BYTES: Final = 60_000
WANDB_BYTES: Final = 60_000
