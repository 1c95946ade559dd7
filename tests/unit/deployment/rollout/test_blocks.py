from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sailplane.deployment.rollout.blocks import MOST, counts, extended, table


def after(seconds: int) -> Mapping[str, Any]:
    blocks: Mapping[str, Any] = {}
    for second in range(seconds):
        blocks = extended(blocks, 1.0, [1.0, second % 2, 9.0, 0.0])
    return blocks


def test_blocks_last_equally_long_however_long_a_phase_is() -> None:
    for seconds in (40, 300, 2100):
        found = counts(table(after(seconds)), 0)
        assert len(found) <= MOST
        assert len(set(found[:-1, 0])) == 1, "all but the last one"
        assert len(found) >= min(seconds, MOST // 2)
        assert np.array_equal(found.sum(axis=0), [seconds, seconds, seconds // 2, 9 * seconds, 0])


def test_another_number_of_counts_begins_anew() -> None:
    assert extended(after(100), 1.0, [1.0, 0.0]) == {"rows": [[1.0, 1.0, 0.0]], "length": 1.0}
