"""Checks in this process that a bundle serves, and measures its latency, with the calls that the model server
makes."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from sailplane.bundles.bundle import Bundle
from sailplane.evaluation.unscored import error_text

CALLS: Final = 30
# The first calls initialize what is loaded lazily.
WARM_UP: Final = 3


def check_serving(bundle: Bundle) -> tuple[str | None, float | None]:
    """The reason why the bundle does not serve, and its latency in ms; exactly one of them is None. The reason is that
    its golden rows do not get the scores of the training, or that single rows get none.

    The latency is the median of 30 calls with one row, from a request's values to the probability, without a network.
    """
    try:
        bundle.check()
        return None, _latency_ms(bundle)
    except MemoryError:
        # The machine is too small, which says nothing about the model.
        raise
    except Exception as error:  # whatever the user's feature code raises
        return error_text(error), None


def _latency_ms(bundle: Bundle) -> float:
    records, taken = bundle.golden_records, []
    for call in range(WARM_UP + CALLS):
        started = time.perf_counter()
        bundle.predict(bundle.frame([records[call % len(records)]]))
        taken.append(time.perf_counter() - started)
    return round(median(taken[WARM_UP:]) * 1000, 3)
