"""The line of user code that raised."""

from __future__ import annotations

import traceback
from pathlib import Path

from sailplane import code


def last_line(error: BaseException) -> str:
    """The deepest frame in the project's own files, otherwise the deepest one."""
    frames = traceback.extract_tb(error.__traceback__)
    include = str(code.root() / "include")
    frame = next((frame for frame in reversed(frames) if frame.filename.startswith(include)), frames[-1])
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
