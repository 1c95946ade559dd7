"""Requests that name their customer are counted by groups of customers."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.prometheus import observations, reward
from sailplane.serving.app import ModelServer
from sailplane.serving.customer_groups import GROUPS, KEY, group_of
from sailplane.serving.metrics import Metrics
from sailplane.serving.scorer import Scorer
from tests.unit.bundles import tiny

FEEDBACK = "/api/v1.0/feedback"
PREFIX = "sailplane_customer_group_"


def asked(server: ModelServer, path: str, message: object, customer: str | None) -> int:
    async def send() -> int:
        transport = httpx.ASGITransport(app=server)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return (await client.post(path, json=message, headers={KEY: customer} if customer else {})).status_code

    return asyncio.run(send())


def test_answers_and_rewards_are_counted_for_the_group_of_their_customer(bundle: Bundle) -> None:
    server = ModelServer(Scorer(bundle))
    good, bad, version = {"jsonData": tiny.RECORD}, {"jsonData": []}, bundle.version
    for message, customer in [(good, "ada"), (good, "ada"), (good, "bob"), (bad, "bob"), (good, None)]:
        asked(server, "/predict", message, customer)
    for value, answered, customer in [
        (0.5, version, "ada"),
        (-1, version, "ada"),
        (1, "v1", "bob"),
        (1, version, None),
    ]:
        response = {"meta": {"puid": "a", "requestPath": {"flights": answered}}}
        assert asked(server, FEEDBACK, {"response": response, "reward": value}, customer) == 200
    text = server._scorer.metrics.text().decode()
    seen, ada, bob = observations(text, version), group_of(b"ada"), group_of(b"bob")
    assert ada != bob
    assert seen.requests == 4
    assert by_group(seen.groups.requests) == {ada: 2, bob: 1}
    assert by_group(map(sum, zip(*seen.groups.answers.values(), strict=True))) == {ada: 2, bob: 2}
    assert by_group(seen.feedback["reward"].counts) == {ada: 2}
    assert by_group(seen.feedback["reward"].totals) == {ada: -0.5}
    assert by_group(reward(text, "v1").counts) == {bob: 1}


def by_group(counts: object) -> Counter[int]:
    return Counter({group: count for group, count in enumerate(counts) if count})  # type: ignore[arg-type]


def test_failures_are_counted_as_they_are_for_all_requests() -> None:
    metrics, customer = Metrics("flights", "v1", lambda: 0), {KEY.encode(): b"ada"}
    for status, seconds in [(200, 0.004), (400, 0.004), (422, 0.0041), (500, 99.0)]:
        metrics.answered("seldon", status, seconds, customer)
    metrics.answered("other", 500, 0.1, customer)
    seen = observations(metrics.text().decode(), "v1")
    assert (seen.requests, seen.errors) == (3, 2)
    assert (sum(seen.groups.requests), sum(seen.groups.errors)) == (3, 2)
    assert {bound: sum(counts) for bound, counts in seen.groups.answers.items()} == {"0.004": 2, "0.005": 1, "+Inf": 1}
    assert seen.latency.above(0.004) == 2


def test_a_version_of_any_name_is_found_again_and_a_scraper_reads_it() -> None:
    metrics, name = Metrics('a "model"', "v1", lambda: 0), 'v"1\\",model="x\n'
    metrics.rewarded(name, 0.25, {KEY.encode(): b"ada"})
    text = metrics.text().decode()
    assert by_group(reward(text, name).totals) == {group_of(b"ada"): 0.25}
    [sample] = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{PREFIX}reward_sum"
    ]
    group = str(group_of(b"ada"))
    assert sample.labels == {"model": 'a "model"', "version": "v1", "answered": name, "group": group}


def test_customers_and_versions_that_clients_make_up_are_bounded_in_number() -> None:
    metrics = Metrics("flights", "v1", lambda: 0)
    for number in range(5000):
        customer = {KEY.encode(): str(number).encode()}
        metrics.answered("seldon", 200, 0.001, customer)
        metrics.rewarded(f"v{number % 100}", 1.0, customer)
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith(PREFIX)]
    assert len(lines) <= (2 + 2 * 8) * GROUPS


def test_without_customers_there_are_no_series() -> None:
    metrics = Metrics("flights", "v1", lambda: 0)
    metrics.answered("seldon", 200, 0.001, {})
    metrics.rewarded("v1", 1.0, {})
    assert f"\n{PREFIX}" not in metrics.text().decode()


def test_customers_are_spread_evenly_over_the_groups() -> None:
    sizes = Counter(group_of(f"customer-{number}".encode()) for number in range(100 * GROUPS))
    assert len(sizes) == GROUPS
    assert 50 <= min(sizes.values()) <= max(sizes.values()) <= 150, "five standard deviations of 10"
