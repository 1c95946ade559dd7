"""Checks before a version gets traffic: pods can read its bundle, and its service reproduces the recorded scores of the
golden rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.http_client import Reply
from sailplane.deployment.target import VersionProgress
from sailplane.errors import ConfigurationError, ModelError, SailplaneError
from sailplane.files import temporary_folder
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import fetch, get
from sailplane.storage import Storage

#: Opens the registered bundle of a version.
OpenBundle = Callable[[str], AbstractContextManager[Bundle]]

#: No server listens yet, or a proxy in front of it finds none, so the version may still be starting.
_EARLY: Final = frozenset({0, 404, 500, 502, 503, 504})
#: How long the answer to the golden rows may take.
SECONDS: Final = 20


def registered(ledger: Ledger, storage: Storage, model: str) -> OpenBundle:
    """Opens the bundles of the model's versions from the registry."""

    @contextmanager
    def opened(version: str) -> Iterator[Bundle]:
        with temporary_folder() as scratch:
            yield fetch(storage, get(ledger, model, version), Path(scratch) / "bundle")

    return opened


def check_servable(model: Model, opened: OpenBundle) -> None:
    """Raises ConfigurationError for a bundle that no pod can read, ModelError for a bundle that is damaged or does not
    load."""
    if model.uri.startswith("file:"):
        expected, remedy = "a store that pods reach", "Set SAILPLANE_STORE to s3://... and train the model again."
        raise ConfigurationError(
            "serve on Kubernetes", model.uri, got="a local folder", expected=expected, remedy=remedy
        )
    with opened(model.version) as bundle:
        bundle.check()


def judged(bundle: Bundle, reply: Reply, scores: Callable[[Any], Any]) -> VersionProgress:
    """The progress that the reply to the golden rows shows. `scores` reads the scores from the reply."""
    if reply.status in _EARLY:
        return VersionProgress("starting", f"its service does not answer yet: {summary(reply)}")
    if reply.status != 200:
        return VersionProgress("failed", f"its service refuses the golden rows: {summary(reply)}")
    try:
        bundle.compare(scores(reply.json()))
    except (SailplaneError, ValueError, TypeError, LookupError) as error:
        reason = error if isinstance(error, ModelError) else f"no scores in {reply.body[:200]!r}"
        return VersionProgress("failed", f"its service scores the golden rows differently: {reason}")
    return VersionProgress("ready")


def summary(reply: Reply) -> str:
    """The status and the body, in one line."""
    body = " ".join(reply.body.decode(errors="replace").split())[:300]
    return f"{reply.status} {body}".strip() if reply.status else body
