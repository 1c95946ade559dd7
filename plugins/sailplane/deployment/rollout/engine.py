"""Decides what a rollout does next. Pure: a state and observations in, a state and actions out.

    starting -> shadowing -> baking 0 -> baking 1 -> ... -> promoting -> succeeded
        \\___________\\____________\\___________\\_ rolling back -> failed

No phase is entered twice. Every action may be repeated: a driver that finds a state with unconfirmed actions repeats
all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sailplane.deployment.rollout.blocks import extended, table
from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.checks import carried, concluded, judge
from sailplane.deployment.rollout.comparisons import Seen
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.quantities import by_group, quantities
from sailplane.deployment.rollout.state import WATCHED, State, Subject, split
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.serving.observations import Observations

# Time without a look does not count, so a clock that is set forward ends no step.
LONGEST_GAP: Final = 5.0
# How long a version with traffic may be away, for example during a restart.
AWAY_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Begin:
    """Start the version."""


@dataclass(frozen=True)
class Move:
    to: TrafficSplit


@dataclass(frozen=True)
class Promote:
    """Make the version the champion, and the champion the previous one."""


@dataclass(frozen=True)
class Stop:
    version: str


Action = Begin | Move | Promote | Stop


def advance(
    plan: Rollout,
    subject: Subject,
    state: State,
    progress: VersionProgress,
    observed: Mapping[str, Observations],
    now: float,
) -> tuple[State, tuple[CheckResult, ...]]:
    """The state after a look at `now`, and the findings of the checks.

    Clocks may jump, so only the time between two looks counts, and at most `LONGEST_GAP` of it.

    :param observed: totals by version, in a phase that is watched
    """
    gap = min(max(now - state.looked, 0.0), LONGEST_GAP) if state.looked is not None else 0.0
    state = replace(state, looked=now)
    if state.phase in ("promoting", "rolling back"):
        ends: State = state.entering("succeeded" if state.phase == "promoting" else "failed")
        return (ends if state.applied else state), ()
    if state.ended or not state.applied:
        return state, ()
    if progress.state == "failed":
        return failing(state, f"the version does not run: {progress.reason}"), ()
    if state.phase == "starting":
        return _started(plan, subject, state, progress, gap), ()
    if progress.state != "ready":
        missed = state.missed + gap
        away = f"the version is not ready for {AWAY_SECONDS:g} s: {progress.reason or 'no reason is known'}"
        return (failing(state, away) if missed > AWAY_SECONDS else replace(state, missed=missed)), ()
    return _watched(plan, _counted(plan, subject, state, observed, gap))


def failing(state: State, reason: str) -> State:
    """The state in which the rollout rolls back."""
    return state.entering("rolling back", state.step, reason)


def actions(
    plan: Rollout, subject: Subject, state: State, present: TrafficSplit, running: Collection[str] = ()
) -> tuple[Action, ...]:
    """The actions of the state, in order.

    :param present: the present split of the traffic
    :param running: the versions that run
    """
    wanted = split(plan, subject, state)
    move = (Move(wanted),) if wanted is not None and not _same(wanted, present) else ()
    if state.phase in WATCHED:
        return move
    if state.ended or state.applied:
        return ()
    match state.phase:
        case "starting":
            return (Begin(),)
        case "promoting":
            others = {*present.weights, *running, *([subject.champion] if subject.champion else [])} - {subject.version}
            return (*move, Promote(), *(Stop(other) for other in sorted(others)))
        case _:
            # A version that served before its rollout keeps its traffic.
            return (*move, *([] if subject.version == subject.champion else [Stop(subject.version)]))


def findings(plan: Rollout, state: State) -> tuple[CheckResult, ...]:
    """The current results of the checks during a step; empty outside the steps."""
    if state.phase not in WATCHED:
        return ()
    return judge(plan, replace(_seen(plan, state), detailed=True), over=False)


def least_seconds_left(plan: Rollout, state: State) -> float | None:
    """The least time until the promotion, if no step is extended; None outside the steps."""
    if state.phase not in WATCHED:
        return None
    shadowing = state.phase == "shadowing"
    now = plan.shadow_seconds if shadowing else plan.bake_seconds
    later = len(plan.steps) - 1 - (0 if shadowing else state.step + 1)
    return max(0.0, now - state.watched) + later * plan.bake_seconds


def _same(wanted: TrafficSplit, present: TrafficSplit) -> bool:
    has = {version: weight for version, weight in present.weights.items() if weight}
    wants = {version: weight for version, weight in wanted.weights.items() if weight}
    return (wants, wanted.shadow, wanted.sticky) == (has, present.shadow, present.sticky)


def _started(plan: Rollout, subject: Subject, state: State, progress: VersionProgress, gap: float) -> State:
    if progress.state == "ready":
        if subject.champion in (None, subject.version):
            return state.entering("promoting")
        return state.entering("shadowing") if plan.shadow is not None else _at(plan, state, 0)
    watched = state.watched + gap
    if watched > plan.start_seconds:
        reason = f"the version is not ready within {plan.start}: {progress.reason or 'no reason is known'}"
        return failing(state, reason)
    return replace(state, watched=watched)


def _at(plan: Rollout, state: State, step: int) -> State:
    return state.entering("promoting") if plan.steps[step] == 100 else state.entering("baking", step)


def _counted(plan: Rollout, subject: Subject, state: State, observed: Mapping[str, Observations], gap: float) -> State:
    first = state.canary.last is None
    if not _by_customer(plan, state):
        observed = {version: totals.without_customers() for version, totals in observed.items()}
    canary = state.canary.read(observed.get(subject.version, Observations()))
    champion = state.champion.read(observed.get(subject.champion or "", Observations()))
    before = quantities(plan, state.canary.seen, state.champion.seen)
    after = quantities(plan, canary.seen, champion.seen)
    added = [max(new - old, 0.0) for old, new in zip(before, after, strict=True)]
    return replace(
        state,
        watched=0.0 if first else state.watched + gap,
        missed=0.0,
        canary=canary,
        champion=champion,
        blocks=state.blocks if first or not added else extended(state.blocks, gap, added),
    )


def _seen(plan: Rollout, state: State) -> Seen:
    paired = state.phase == "shadowing"
    least = plan.shadow_seconds if paired else plan.bake_seconds
    elapsed = min(state.watched / least, 1.0) if least else 1.0
    groups = by_group(plan, state.canary.seen, state.champion.seen) if _by_customer(plan, state) else None
    return Seen(
        state.canary.seen,
        state.champion.seen,
        paired=paired,
        blocks=table(state.blocks),
        elapsed=elapsed,
        carried=state.carried,
        groups=groups,
        share=0.5 if paired else plan.steps[state.step] / 100,
    )


def _by_customer(plan: Rollout, state: State) -> bool:
    """True if each version has its own customers."""
    return plan.sticky is not None and state.phase == "baking"


def _watched(plan: Rollout, state: State) -> tuple[State, tuple[CheckResult, ...]]:
    shadowing = state.phase == "shadowing"
    least = plan.shadow_seconds if shadowing else plan.bake_seconds
    over = state.watched >= least
    results = judge(plan, _seen(plan, state), over=over)
    if passed := over and all(result.outcome == "passed" for result in results):
        results = concluded(results)
    if failed := [str(result) for result in results if result.failed]:
        return failing(state, "; ".join(failed)), results
    if not over:
        return state, results
    if passed:
        return _passed(plan, state, results), results
    if state.watched < least + plan.extend_seconds:
        return state, results
    if short := [str(result) for result in results if result.waits]:
        return failing(state, "; ".join(short)), results
    if plan.too_few == "pass":
        return _passed(plan, state, results), results
    few = [f"{result.check}: {result.count}" for result in results if result.outcome == "undecided"]
    reason = f"not enough requests within {plan.extend} more: {'; '.join(few)}, expected {plan.min_requests}"
    return failing(state, reason), results


def _passed(plan: Rollout, state: State, results: tuple[CheckResult, ...]) -> State:
    state = replace(state, carried={**state.carried, **carried(results)})
    return _at(plan, state, 0 if state.phase == "shadowing" else state.step + 1)
