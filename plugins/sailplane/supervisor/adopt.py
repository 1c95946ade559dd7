"""`adopt.py SECONDS COMMAND...`: executes the command, or adopts its process from an earlier supervisord.

An adopted process keeps running; this process forwards SIGTERM to it and ends with it. The file `outlived.json` next to
supervisord's socket lists such processes. SECONDS: from SIGTERM to SIGKILL. Imports nothing of this package, to stay a
small process.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path
from types import FrameType


def main(seconds: str, *command: str) -> int:
    pid = _outlived()
    if pid is None or not _runs(pid, command):
        os.execvp(command[0], command)  # noqa: S606
    _adopt(pid, float(seconds))
    return 1


def _outlived() -> int | None:
    socket = Path(os.environ["SUPERVISOR_SERVER_URL"].removeprefix("unix://"))
    file = socket.with_name("outlived.json")
    pid: int | None = json.loads(file.read_text()).get(os.environ["SUPERVISOR_PROCESS_NAME"]) if file.exists() else None
    return pid


def _runs(pid: int, command: tuple[str, ...]) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"".join(os.fsencode(part) + b"\0" for part in command)
    except OSError:
        return False


def _adopt(pid: int, seconds: float) -> None:
    """Waits until that process ends."""
    ended = select.poll()
    ended.register(os.pidfd_open(pid))

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.kill(pid, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(pid, signal.SIGKILL))
    ended.poll()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
