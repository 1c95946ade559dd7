"""The worker as one executable Python file, `python worker.pyz URL --train model.py:train`. It has the modules of this
package that need only Python."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

import sailplane

FILES: Final = (
    "__init__.py",
    "errors.py",
    "files.py",
    *(f"sweeps/{name}.py" for name in ("__init__", "score")),
    "tracking/__init__.py",
    *(f"training/{name}.py" for name in ("__init__", "arrays", "batches", "checkpoints", "compute")),
    *(f"training/{name}.py" for name in ("limits", "early_stopping", "randomness", "run")),
    *(f"sweep_worker/{name}.py" for name in ("__init__", "client", "command", "worker")),
)
_MAIN: Final = "import sys\n\nfrom sailplane.sweep_worker.command import main\n\nsys.exit(main())\n"
# Equal sources give equal bytes.
_TIME: Final = (2026, 1, 1, 0, 0, 0)


@cache
def worker() -> bytes:
    """The content of worker.pyz."""
    package, packed = Path(sailplane.__file__).parent, io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.writestr(zipfile.ZipInfo(f"sailplane/{name}", _TIME), (package / name).read_bytes())
        archive.writestr(zipfile.ZipInfo("__main__.py", _TIME), _MAIN)
    return b"#!/usr/bin/env python3\n" + packed.getvalue()
