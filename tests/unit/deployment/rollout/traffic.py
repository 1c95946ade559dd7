"""Traffic of two versions, as their servers count it second by second. Both are equal unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from sailplane.serving.customer_groups import GROUPS, CustomerGroups
from sailplane.serving.observations import LATENCY_BOUNDS, PREDICTION_BOUNDS, FeedbackTotals, Histogram, Observations

LIMIT = 0.05  # In seconds; the p99 of dags/README.md.
# The bounds of the answers within the limit, and of the others.
_QUICK, _SLOW = str(LIMIT / 5), str(2 * LIMIT)


@dataclass(frozen=True)
class Version:
    """A version. `errors` and `slow` are shares of its answers, `memory` the autocorrelation of successive latencies.

    :param stalls: the number of stalls per second; each lasts 1 to 20 s, in which every answer is slow
    :param bursts: the number of bursts per second; each lasts 1 to 20 s, in which a share of `burst_errors` fails
    :param reward: the mean of beta-distributed rewards with the standard deviation `deviation`; rewards are 0 or 1 if
        that is 0
    :param scores: the beta distribution's parameters
    """

    errors: float = 0.005
    slow: float = 0.008
    memory: float = 0.0
    stalls: float = 0.0
    bursts: float = 0.0
    burst_errors: float = 0.3
    reward: float = 0.5
    deviation: float = 0.2
    scores: tuple[float, float] = (2.0, 5.0)


@dataclass(frozen=True)
class Traffic:
    """:param rate: requests per second to both versions together
    :param customers: the number of customers. Their traffic follows Zipf's law; each has its own version and scores;
        0 for none
    :param apart: how much customers differ: the standard deviation of the factors of their errors and slow answers, and
        ten times that of their mean rewards
    :param both_slow: whether all answers of both versions are slow for the same 30 s of each stage
    """

    rate: float = 100.0
    canary: Version = Version()
    champion: Version = Version()
    customers: int = 0
    apart: float = 0.0
    both_slow: bool = False


@dataclass
class Answers:
    """The requests of one version in one stage; each field is an array [requests]. `group` is the customer's, or None
    without customers."""

    second: np.ndarray
    failed: np.ndarray
    slow: np.ndarray
    score: np.ndarray
    reward: np.ndarray
    group: np.ndarray | None = None


def drawn(
    traffic: Traffic,
    customers: Customers | None,
    percent: float | None,
    seconds: int,
    random: np.random.Generator,
) -> tuple[Answers, Answers]:
    """The canary's and the champion's answers at a step, or in a shadow phase if `percent` is None."""
    slow_from = random.uniform(0, seconds - 30)
    if percent is None:
        arrivals = _arrivals(traffic.rate, seconds, random)
        who = customers.assigned(len(arrivals), None, random) if customers else None
        versions = (traffic.canary, traffic.champion)
        made = [_answers(one, arrivals, seconds, who, customers, random) for one in versions]
        if who is not None:
            made[0].score = made[1].score = who[1]
    else:
        made = []
        for one, share in ((traffic.canary, percent / 100), (traffic.champion, 1 - percent / 100)):
            if customers is None:
                arrivals, who = _arrivals(traffic.rate * share, seconds, random), None
            else:
                mine = customers.of(one is traffic.canary, percent / 100)
                arrivals = _arrivals(traffic.rate * customers.weights[mine].sum(), seconds, random)
                who = customers.assigned(len(arrivals), mine, random)
            made.append(_answers(one, arrivals, seconds, who, customers, random))
    if traffic.both_slow:
        for one in made:
            one.slow = one.slow | ((one.second >= slow_from) & (one.second < slow_from + 30))
    return made[0], made[1]


@dataclass
class Customers:
    weights: np.ndarray
    mean: np.ndarray
    place: np.ndarray
    group: np.ndarray
    failing: np.ndarray
    slowness: np.ndarray
    gain: np.ndarray

    def of(self, canary: bool, share: float) -> np.ndarray:
        """Returns the customers of this version: those whose place on the ring is below its share."""
        return np.flatnonzero((self.place < share) == canary)

    def assigned(self, count: int, mine: np.ndarray | None, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        mine = np.arange(len(self.weights)) if mine is None else mine
        if not len(mine):
            return np.zeros(0, dtype=int), np.zeros(0)
        weights = self.weights[mine] / self.weights[mine].sum()
        who = mine[random.choice(len(mine), count, p=weights)]
        mean = self.mean[who]
        return who, random.beta(20 * mean, 20 * (1 - mean))


def customers_of(traffic: Traffic, random: np.random.Generator) -> Customers | None:
    """Returns the customers of all stages of a rollout."""
    if not traffic.customers:
        return None
    weights = 1 / np.arange(1, traffic.customers + 1)
    mean = np.clip(random.beta(1, 2, traffic.customers), 0.02, 0.98)
    place, group = random.random(traffic.customers), random.integers(0, GROUPS, traffic.customers)
    failing, slowness = (_factors(traffic, random) for _ in range(2))
    gain = 0.1 * traffic.apart * random.standard_normal(traffic.customers)
    return Customers(weights / weights.sum(), mean, place, group, failing, slowness, gain)


def _factors(traffic: Traffic, random: np.random.Generator) -> np.ndarray:
    """Draws factors with a mean of 1. They are skewed: a few customers have most of the errors."""
    if not traffic.apart:
        return np.ones(traffic.customers)
    return random.gamma(1 / traffic.apart**2, traffic.apart**2, traffic.customers)


def _arrivals(rate: float, seconds: int, random: np.random.Generator) -> np.ndarray:
    return np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))


def _answers(
    one: Version,
    at: np.ndarray,
    seconds: int,
    who: tuple[np.ndarray, ...] | None,
    customers: Customers | None,
    random: np.random.Generator,
) -> Answers:
    count, failing, slowness, gain = len(at), 1.0, 1.0, 0.0
    if who is not None and customers is not None:
        failing, slowness, gain = (of[who[0]] for of in (customers.failing, customers.slowness, customers.gain))
    errors = np.minimum(failing * one.errors, 1.0)
    failed = random.random(count) < np.where(_within(at, one.bursts, seconds, random), one.burst_errors, errors)
    slow = _uniform(count, one.memory, random) > 1 - slowness * one.slow
    slow |= _within(at, one.stalls, seconds, random)
    if one.deviation:
        spread = one.reward * (1 - one.reward) / one.deviation**2 - 1
        mean = np.clip(one.reward + gain, 0.02, 0.98)
        reward = random.beta(mean * spread, (1 - mean) * spread, count)
    else:
        reward = (random.random(count) < one.reward).astype(float)
    score = random.beta(*one.scores, count) if who is None else who[1]
    group = None if who is None or customers is None else customers.group[who[0]]
    return Answers(at.astype(int), failed, slow, score, reward, group)


def _uniform(count: int, memory: float, random: np.random.Generator) -> np.ndarray:
    if not memory:
        return random.random(count)
    noise = random.standard_normal(count) * np.sqrt(1 - memory**2)
    if count:
        noise[0] /= np.sqrt(1 - memory**2)
    return np.asarray(ndtr(lfilter([1.0], [1.0, -memory], noise)))


def _within(at: np.ndarray, rate: float, seconds: int, random: np.random.Generator) -> np.ndarray:
    """Returns which requests are within an interruption of 1 to 20 s, which may have begun before the stage."""
    found = np.zeros(len(at), dtype=bool)
    for start in random.uniform(-20, seconds, random.poisson(rate * (seconds + 20))):
        found |= (at >= start) & (at < start + random.uniform(1, 20))
    return found


def counted(answers: Answers, seconds: int, *, fed_back: bool) -> Iterator[Observations]:
    """Yields the totals after each second, from 0 on."""
    latency = _by_second(answers, np.where(answers.slow, 2 * LIMIT, LIMIT / 5), LATENCY_BOUNDS, seconds)
    scored = _by_second(answers, answers.score, PREDICTION_BOUNDS, seconds)
    requests, errors, rewards, squares = (
        np.bincount(answers.second, weights=weights, minlength=seconds).cumsum()
        for weights in (None, answers.failed, answers.reward, answers.reward**2)
    )
    grouped = _by_group(answers, seconds)
    for second in range(seconds):
        feedback = FeedbackTotals(
            count=int(requests[second]),
            total=float(rewards[second]),
            low=0.0,
            high=1.0,
            squares=float(squares[second]),
            counts=grouped["requests"][second],
            totals=grouped["rewards"][second],
        )
        yield Observations(
            started=1.0,
            requests=int(requests[second]),
            errors=int(errors[second]),
            latency=Histogram(bounds=LATENCY_BOUNDS, counts=tuple(latency[second].tolist())),
            predictions=Histogram(bounds=PREDICTION_BOUNDS, counts=tuple(scored[second].tolist())),
            feedback={"reward": feedback} if fed_back and requests[second] else {},
            groups=CustomerGroups(
                requests=grouped["requests"][second],
                errors=grouped["failed"][second],
                answers={bound: grouped[bound][second] for bound in (_QUICK, _SLOW) if grouped[bound][second]},
            ),
        )


def _by_group(answers: Answers, seconds: int) -> dict[str, list[tuple[float, ...]]]:
    """Returns the totals of each group by second; empty tuples without customers."""
    slow = answers.slow.astype(float)
    weights = {
        "requests": None,
        "failed": answers.failed,
        "rewards": answers.reward,
        _SLOW: slow,
        _QUICK: 1 - slow,
    }
    if answers.group is None:
        return {name: [()] * seconds for name in weights}
    places, size = answers.second * GROUPS + answers.group, seconds * GROUPS
    totals = {name: np.bincount(places, weights=of, minlength=size) for name, of in weights.items()}
    totals = {name: of if name == "rewards" else of.astype(int) for name, of in totals.items()}
    return {
        name: [tuple(row) for row in found.reshape(seconds, GROUPS).cumsum(axis=0).tolist()]
        for name, found in totals.items()
    }


def _by_second(answers: Answers, values: np.ndarray, bounds: tuple[float, ...], seconds: int) -> np.ndarray:
    bins = len(bounds) + 1
    places = answers.second * bins + np.searchsorted(bounds, values, side="left")
    return np.bincount(places, minlength=seconds * bins).reshape(seconds, bins).cumsum(axis=0)


def both(traffic: Traffic, **changed: object) -> Traffic:
    """Applies the same change to both versions."""
    one = replace(traffic.champion, **changed)  # type: ignore[arg-type]
    return replace(traffic, canary=one, champion=replace(one))
