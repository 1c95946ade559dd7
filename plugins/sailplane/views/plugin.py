"""The platform in Airflow's UI. Airflow imports this module in every process and for every task: it imports nothing
that Airflow has not imported before."""

from __future__ import annotations

import os
from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

# For a checkout that is not installed, and so has no entry points.
import sailplane.filesystems.schemes  # noqa: F401
from sailplane.evaluation.details import REPORTS

# Where the HTTP interface of shared sweeps is.
SHARES: Final = "/sailplane/sweeps"


class SailplanePlugin(AirflowPlugin):
    name = "sailplane"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Only the api-server asks for it."""
        from sailplane.shares.app import make_app
        from sailplane.views import reports

        return [
            {"app": make_app(), "url_prefix": SHARES, "name": "Shared sweeps"},
            {"app": reports.make_app(), "url_prefix": REPORTS, "name": "Reports"},
        ]

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Only the api-server asks for it, so that a task does not pay for starlette."""
        from sailplane.views.hosts import TrustedHosts

        # The api-server runs without a login on loopback: without this check any web page that a user visits could
        # reach it, by a name that resolves to 127.0.0.1. A shared sweep has a token instead, and may be asked by the
        # name of a tunnel, which so opens nothing else.
        options = {"allowed_hosts": allowed_hosts(), "open_below": f"{SHARES}/"}
        return [{"middleware": TrustedHosts, "args": [], "kwargs": options, "name": "trusted hosts"}]


def allowed_hosts() -> list[str]:
    """The host names that the UI answers to. SAILPLANE_ALLOWED_HOSTS adds some, separated by commas."""
    added = os.environ.get("SAILPLANE_ALLOWED_HOSTS", "").split(",")
    return ["localhost", "127.0.0.1", *(name.strip() for name in added if name.strip())]
