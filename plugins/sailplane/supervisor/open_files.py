"""The limit on a process's open files."""

from __future__ import annotations

import resource
from typing import Final

from sailplane.errors import ServiceError

# supervisord must be able to open this many files; its own error message is unclear.
_FILES: Final = 1024
# The limit of its programs, up to the hard limit: the router accepts 10,000 connections and opens some itself.
_MANY_FILES: Final = 20_480


def raise_file_limit() -> None:
    """Raises the soft limit. Raises ServiceError if the hard limit is too low for supervisord."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if most < _FILES:
        raise ServiceError(
            "start",
            "supervisord",
            got=f"a process may open {hard} files (`ulimit -Hn`)",
            expected=f"{_FILES} or more",
            remedy="Raise the hard limit (`* hard nofile 4096` in /etc/security/limits.conf), and log in again.",
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
