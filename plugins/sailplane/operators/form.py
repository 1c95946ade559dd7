from __future__ import annotations

from airflow.sdk import Param


def trigger_form(*, window: int, trials: int, workers: int) -> dict[str, Param]:
    """The fields that Airflow's UI shows before a run is triggered, with this project's defaults."""
    return {
        "window": Param(
            window,
            type="integer",
            minimum=15,
            maximum=3650,
            title="Window",
            description="Days before the as-of: the last 7 judge, the 7 before them choose, all others train.",
        ),
        "trials": Param(
            trials,
            type="integer",
            minimum=1,
            maximum=10_000,
            title="Trials",
            description="How many configurations the sweep tries.",
        ),
        "workers": Param(
            workers,
            type="integer",
            minimum=1,
            maximum=256,
            title="Workers",
            description="How many of them at a time.",
        ),
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            description="Nothing on or after this day is read. Empty: the end of the run's data interval.",
        ),
    }
