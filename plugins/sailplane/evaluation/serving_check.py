"""Whether a bundle would serve, and how fast: it is asked as the model server asks it, in this process."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from sailplane.bundles.bundle import Bundle
from sailplane.evaluation.unscored import why

CALLS: Final = 30
# The first ones load what is loaded once.
WARM_UP: Final = 3


def asked(bundle: Bundle) -> tuple[str | None, float | None]:
    """Why its golden rows do not get the scores of the training, or why single rows get none; None if all is well. And
    its latency then, in ms.

    That is of one row, from a request's values to the probability, without a network: the median of 30 calls.
    """
    try:
        bundle.check()
        return None, _latency_ms(bundle)
    except Exception as error:  # whatever the user's feature code raises
        return why(error), None


def _latency_ms(bundle: Bundle) -> float:
    records, taken = bundle.golden_records, []
    for call in range(WARM_UP + CALLS):
        started = time.perf_counter()
        bundle.predict(bundle.frame([records[call % len(records)]]))
        taken.append(time.perf_counter() - started)
    return round(median(taken[WARM_UP:]) * 1000, 3)
