"""User actions and faults in any order: after each step the platform reports the true state, and nothing is lost.

`make test` takes 500 steps with fixed seeds, which takes about 100 seconds for each seed, because the ledger, the
router and the model servers are real. `make states STEPS=20000 SEED=1` takes more."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.states.faults import States

STEPS_OF_A_WORLD = 50
STEPS = int(os.environ.get("STEPS", "500"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.parametrize("number", range(SEED, SEED + max(1, STEPS // STEPS_OF_A_WORLD)))
def test_whatever_users_do_and_whatever_fails_nothing_is_lost_and_nothing_lies(number: int) -> None:
    run_state_machine_as_test(
        seed(number)(States),
        settings=settings(
            max_examples=1,
            # The first step makes the world.
            stateful_step_count=STEPS_OF_A_WORLD + 1,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
