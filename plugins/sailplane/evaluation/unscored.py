"""Handles a challenger or a baseline whose bundle does not score the test rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sailplane.errors import SailplaneError
from sailplane.records import Rule
from sailplane.sweeps.axes import cut

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from sailplane.bundles.bundle import Bundle

log = logging.getLogger(__name__)
# The most characters of an error that are shown: onnxruntime's can have thousands.
MOST: Final = 600


def scored(name: str, bundle: Bundle, rows: pd.DataFrame) -> NDArray[np.floating] | str:
    """Probabilities [n, outputs], or the reason why there are none. Logs the traceback."""
    try:
        return bundle.predict(rows)
    except MemoryError:
        # The machine is too small, which says nothing about the model.
        raise
    except Exception as error:  # whatever the user's feature code raises
        log.warning("The %s does not score the test rows.", name, exc_info=error)
        return error_text(error)


def error_text(error: Exception) -> str:
    message = str(error) if isinstance(error, SailplaneError) else f"{type(error).__name__}: {error}"
    return cut(" ".join(message.split()), MOST)


def rejected(reasons: Mapping[str, str]) -> tuple[Rule, ...]:
    """The verdict on a challenger without scores; empty if it has scores. `reasons` are by contender."""
    if "challenger" not in reasons:
        return ()
    return (Rule(name="serves", passed=False, got=reasons["challenger"], expected="a score for every test row"),)


def notes(reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Notes for the user on contenders that are left out of the comparison."""
    return tuple(
        f"for information: judged without the {name}, which does not score the test rows: {reason}"
        for name, reason in reasons.items()
        if name != "challenger"
    )
