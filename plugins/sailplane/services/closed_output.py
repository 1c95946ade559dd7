"""A command whose reader is gone, as in `sailplane models list | head -1`, ends as other tools do."""

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
def ending_with_the_reader() -> Iterator[None]:
    """Ends this process by SIGPIPE (exit code 141 in a shell), without a word, once nobody reads what it prints. Where
    standard output is closed from the start, as by `>&-`, nothing is printed."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            yield
        finally:
            # Otherwise the interpreter would flush at exit, fail, and print that.
            sys.stdout.flush()
    except BrokenPipeError:
        # Other pipes and sockets break too.
        if _is_read():
            raise
        _end()
    except SystemExit as left:
        # rich raises SystemExit in place of the error.
        if isinstance(left.__context__, BrokenPipeError):
            _end()
        raise


def _is_read() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _end() -> None:
    # Python ignores the signal from its start on, so that servers survive their clients.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def main() -> None:
    """`python -m sailplane.services.closed_output MODULE [ARGUMENT...]`: another tool's command, ended the same way."""
    module = sys.argv.pop(1)
    with ending_with_the_reader():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
