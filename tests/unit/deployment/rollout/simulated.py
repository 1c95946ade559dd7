"""Whole rollouts in simulated traffic: the real engine with a look each second."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.engine import advance
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.state import CLOSING, WATCHED, State, Subject
from sailplane.deployment.target import VersionProgress
from sailplane.serving.observations import Observations
from tests.unit.deployment.rollout.traffic import Traffic, counted, customers_of, drawn

# As in dags/README.md.
PLAN = Rollout(
    shadow="5m",
    steps=[1, 10, 50, 100],
    bake="5m",
    checks=[
        ErrorRate(maximum=0.02, worse_by=0.005),
        Latency(p99="50ms"),
        PredictionDrift(maximum=0.1),
        Metric(metric="reward", worse_by=0.02),
    ],
    too_few="pass",
)
SUBJECT = Subject(name="m", version="b", champion="a", endpoint="", owner="")
READY = VersionProgress("ready")


@dataclass
class Ended:
    """The end of a rollout. `requests` are the canary's in the last stage."""

    state: State
    stage: str
    requests: int
    looks: int

    @property
    def back(self) -> bool:
        return self.state.phase == "rolling back"


def roll_out(traffic: Traffic, plan: Rollout, seed: int) -> Ended:
    random = np.random.default_rng(seed)
    customers = customers_of(traffic, random)
    first = State(applied=True)
    state, _ = advance(plan, SUBJECT, first, READY, {}, 0.0)
    looks, now, stage, requests = 0, 0.0, "", 0
    while state.phase in WATCHED:
        stage, state = state.stage, replace(state, applied=True)
        shadowing = state.phase == "shadowing"
        seconds = int(plan.shadow_seconds if shadowing else plan.bake_seconds)
        canary, champion = drawn(traffic, customers, None if shadowing else plan.steps[state.step], seconds, random)
        # Starts with the reading at the stage's start. If requests are missing after its time, the stage asks again and
        # gets no new ones.
        sources = [counted(one, seconds, fed_back=not shadowing) for one in (canary, champion)]
        state, _ = advance(plan, SUBJECT, state, READY, {}, now)
        last = {"a": Observations(), "b": Observations()}
        while state.stage == stage:
            last = dict(
                zip("ba", (next(one, last[name]) for one, name in zip(sources, "ba", strict=True)), strict=True)
            )
            now += 1
            looks += 1
            state, _ = advance(plan, SUBJECT, state, READY, last, now)
        requests = last["b"].requests
    assert state.phase in CLOSING
    return Ended(state, stage, requests, looks)


def share_back(traffic: Traffic, draws: int, plan: Rollout = PLAN, seed: int = 1) -> float:
    return float(np.mean([roll_out(traffic, plan, 1000 * seed + draw).back for draw in range(draws)]))
