from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.errors import AccessError, ConfigurationError

if TYPE_CHECKING:
    import wandb

TIMEOUT_SECONDS: Final = 20


class WandbHook(BaseHook):
    """A W&B server, reached through a connection.

    :param wandb_conn_id: the connection. Its password is the API key, its host the server (by default W&B's own), and
        its login the entity of the runs (by default the key's own)
    """

    conn_name_attr = "wandb_conn_id"
    default_conn_name = "wandb_default"
    conn_type = "wandb"
    hook_name = "Weights & Biases"

    def __init__(self, wandb_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wandb_conn_id = wandb_conn_id

    def get_conn(self) -> wandb.Api:
        """W&B's own client. Raises AccessError if the server rejects the key or is unreachable."""
        settings = self.settings()
        import wandb

        overrides = {"base_url": settings["WANDB_BASE_URL"]} if "WANDB_BASE_URL" in settings else {}
        try:
            return wandb.Api(overrides=overrides, timeout=TIMEOUT_SECONDS, api_key=settings["WANDB_API_KEY"])
        except (wandb.errors.Error, ValueError) as error:
            raise self._refused(error) from error

    def settings(self) -> dict[str, str]:
        """The environment variables for a process that uses W&B. Raises ConfigurationError for a connection without a
        key or with an invalid host."""
        connection = self.get_connection(self.wandb_conn_id)
        if not (key := (connection.password or "").strip()):
            raise ConfigurationError("use connection", self.wandb_conn_id, got="no password", expected="an API key")
        host = connection.host or ""
        if host and not host.startswith(("http://", "https://")):
            expected = "http://... or https://..., or none for W&B's own server"
            raise ConfigurationError("use connection", self.wandb_conn_id, got=f"host {host!r}", expected=expected)
        given = {"WANDB_API_KEY": key, "WANDB_BASE_URL": host, "WANDB_ENTITY": connection.login or ""}
        return {name: value for name, value in given.items() if value}

    def test_connection(self) -> tuple[bool, str]:
        try:
            viewer = self.get_conn().viewer
        except (AccessError, ConfigurationError) as error:
            return False, str(error)
        except Exception as error:  # the client raises many other errors for a bad answer
            return False, str(self._refused(error))
        return True, f"The key is {viewer.username}'s."

    def _refused(self, error: Exception) -> AccessError:
        key = self.get_connection(self.wandb_conn_id).password or ""
        reason = " ".join(str(error).split()).replace(key.strip() or "\0", "***")[:300]
        expected, remedy = "a key that its server accepts", "Correct its API key or its host."
        return AccessError("use connection", self.wandb_conn_id, got=reason, expected=expected, remedy=remedy)


def tracking_settings() -> dict[str, str]:
    """W&B's variables for a training process. Empty if the environment has a key, or without the default connection."""
    if os.environ.get("WANDB_API_KEY"):
        return {}
    try:
        return WandbHook().settings()
    except AirflowNotFoundException:
        return {}
