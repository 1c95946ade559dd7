"""Ends a command whose reader is gone, as in `sailplane models list | head -1`, the way other tools end."""

from __future__ import annotations

import os
import runpy
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ending_with_reader() -> Iterator[None]:
    """Ends this process silently by SIGPIPE (exit code 141 in a shell) once nobody reads its output. If standard output
    is closed from the start, as by `>&-`, nothing is printed."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            yield
        finally:
            # Otherwise the interpreter would flush at exit, fail, and print the failure.
            sys.stdout.flush()
    except BrokenPipeError:
        # Other pipes and sockets can break too.
        if _is_read():
            raise
        _end()
    except SystemExit as left:
        # rich raises SystemExit instead of the error.
        if isinstance(left.__context__, BrokenPipeError):
            _end()
        raise


def _is_read() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _end() -> None:
    # Python ignores SIGPIPE from its start on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def main() -> None:
    """`python -m sailplane.services.closed_output MODULE [ARGUMENT...]`: runs another tool's command that ends the same
    way."""
    module = sys.argv.pop(1)
    with ending_with_reader():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
