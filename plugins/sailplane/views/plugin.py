"""The platform in Airflow's UI. Airflow imports this module in every process and for every task, so it imports only
modules that Airflow has already imported."""

from __future__ import annotations

import os
from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

# For a checkout that is not installed and has no entry points.
import sailplane.filesystems.schemes  # noqa: F401
from sailplane.evaluation.details import REPORTS

# The path of the HTTP interface of shared sweeps.
SHARES: Final = "/sailplane/sweeps"


class SailplanePlugin(AirflowPlugin):
    name = "sailplane"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Only the api-server calls this."""
        from sailplane.services.logins import PAGE
        from sailplane.sweep_server.app import make_app
        from sailplane.views import login, reports

        return [
            {"app": make_app(), "url_prefix": SHARES, "name": "Shared sweeps"},
            {"app": reports.make_app(), "url_prefix": REPORTS, "name": "Reports"},
            {"app": login.make_app(), "url_prefix": PAGE, "name": "Login"},
        ]

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Only the api-server calls this, so tasks do not import starlette."""
        from airflow.configuration import conf

        from sailplane.origins import Origins
        from sailplane.views.guard import UiGuard

        # Any page that a user visits can reach loopback, and the browser adds the cookie. A shared sweep has a token
        # instead, so it accepts any host, such as that of a tunnel.
        pages = conf.getlist("api", "access_control_allow_origins", fallback=[])
        options = {"origins": Origins.read(os.environ, pages), "any_host_below": f"{SHARES}/"}
        return [{"middleware": UiGuard, "args": [], "kwargs": options, "name": "guard"}]
