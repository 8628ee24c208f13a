"""Two API processes and two workers: what is scraped of all adds up to what was done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.playback_load import BATCH, DURATION_SECONDS, REPORTS, SIGN_IN, START
from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until

TOKEN = "a-token-of-prometheus-alone"
VIEWERS, ROUNDS = 6, 3
RESET = """mutation ($email: EmailAddress!) {
  requestPasswordReset(input: {email: $email}) { errors { code } } }"""
LOGIN = """mutation ($email: EmailAddress!) {
  login(input: {email: $email, password: "correct horse battery"}) { tokens { accessToken } } }"""
FLUSH = "mutation { flushProgress { job { id } errors { code } } }"


class Fleet(NamedTuple):
    """Clients of the API processes, ports of the workers' metrics, and the settings of all."""

    apis: list[Served]
    worker_ports: list[int]
    environment: dict[str, str]

    async def scrape(self) -> list[Counter[str]]:
        """The counters of each process, the APIs first; labels are told as `name{value,...}`."""
        pages = [await read_metrics(str(api.client.base_url)) for api in self.apis]
        pages += [await read_metrics(f"http://127.0.0.1:{port}") for port in self.worker_ports]
        return [count_samples(page) for page in pages]

    async def sums(self) -> Counter[str]:
        """Each counter summed over the processes."""
        total: Counter[str] = Counter()
        for one in await self.scrape():
            total.update(one)
        return total


async def read_metrics(base_url: str) -> str:
    async with httpx.AsyncClient(base_url=base_url) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        response = await client.get("/metrics", headers=headers)
    assert response.status_code == 200
    return response.text


def count_samples(page: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples if family.type == "counter" else ():
            if sample.name.endswith("_total"):
                labels = ",".join(str(value) for value in sample.labels.values())
                counts[f"{sample.name}{{{labels}}}" if labels else sample.name] += sample.value
    return counts


@pytest.fixture
async def fleet(stores: Stores, tmp_path: Path) -> AsyncIterator[Fleet]:
    shared = {
        **stores.environment,
        "DATA_DIR": str(tmp_path / "data"),
        "METRICS_TOKEN": TOKEN,
        "MONGODB_TIMEOUT_MS": "20000",  # a busy machine is no outage
        "REDIS_TIMEOUT_MS": "5000",
    }
    async with AsyncExitStack() as stack:
        api_ports, worker_ports = [[free_port(), free_port()] for _ in range(2)]
        for port in api_ports:
            own = shared | {"PORT": str(port)}
            stack.enter_context(Process(tmp_path / f"api-{port}", "serve", environment=own))
        for port in worker_ports:
            own = shared | {"WORKER_METRICS_PORT": str(port)}
            stack.enter_context(Process(tmp_path / f"worker-{port}", "worker", environment=own))
        apis = [await stack.enter_async_context(Served(port)) for port in api_ports]
        for port in worker_ports:
            await stack.enter_async_context(Served(port))
        yield Fleet(apis, worker_ports, shared)


async def watch(api: Served, film: str, email: str) -> int:
    """Register, ask for a mail, begin a film and report; returns how many requests that were."""
    _, body = await api.graphql(SIGN_IN, {"email": email})
    token = body["data"]["register"]["tokens"]["accessToken"]
    await api.graphql(RESET, {"email": email})
    _, body = await api.graphql(START, {"id": film}, token)
    variables: dict[str, Any] = {"d": DURATION_SECONDS}
    variables["id"] = body["data"]["startPlayback"]["session"]["id"]
    for first in range(0, ROUNDS * BATCH, BATCH):
        for at in range(BATCH):
            variables |= {f"n{at}": first + at, f"p{at}": float(first + at + 1)}
        _, body = await api.graphql(REPORTS, variables, token)
        assert all(answer["applied"] for answer in body["data"].values())
    return 3 + ROUNDS


async def test_the_sum_over_processes_is_what_was_done(fleet: Fleet, tmp_path: Path) -> None:
    # given what all processes counted, each seen by those alone who have the token
    for port in fleet.worker_ports:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as stranger:
            assert (await stranger.get("/metrics")).status_code == 401
            assert (await stranger.get("/health")).status_code == 200
            ready = (await stranger.get("/ready")).json()
            assert ready["checks"]["database"] == "healthy"
            assert ready["tasks"]["flush_progress"] == "running"
    _, body = await fleet.apis[0].graphql("{ movies(first: 6) { nodes { id } } }")
    films = [one["id"] for one in body["data"]["movies"]["nodes"]]
    before = await fleet.sums()
    # when viewers watch through both, and an operator flushes
    emails = [f"viewer-{number}@example.org" for number in range(VIEWERS)]
    requests = sum(
        await asyncio.gather(
            *(
                watch(fleet.apis[number % 2], films[number], email)
                for number, email in enumerate(emails)
            )
        )
    )
    make = ("account", "role", emails[0], "OPERATOR")
    with Process(tmp_path / "role", *make, environment=fleet.environment) as process:
        assert await process.ended() == 0, process.output
    for api in fleet.apis:
        _, body = await api.graphql(LOGIN, {"email": emails[0]})
        token = body["data"]["login"]["tokens"]["accessToken"]
        _, body = await api.graphql(FLUSH, token=token)
        assert body["data"]["flushProgress"]["errors"] == []
    requests += 4
    reports = VIEWERS * ROUNDS * BATCH
    expected = Counter(
        {
            "http_requests_total{POST,/graphql,200}": requests,
            "sign_ins_total{registered}": VIEWERS,
            "sign_ins_total{signed_in}": 2,
            "playback_starts_total{started}": VIEWERS,
            "progress_reports_total{applied}": reports,
            "progress_flushed_total": reports,
            "mails_total{sent}": 2 * VIEWERS,  # with the proof of the address
            "jobs_finished_total{flush_progress,SUCCEEDED}": 2,
        }
    )
    done: Counter[str] = Counter()

    async def is_all_counted() -> bool:
        done.clear()
        done.update(await fleet.sums())
        done.subtract(before)
        return all(done[name] >= count for name, count in expected.items())

    with suppress(AssertionError):  # what is missing shows below
        await until(is_all_counted, 40)
    # then each counter's sum is that, once and for all
    await asyncio.sleep(2)
    await is_all_counted()
    assert {name: done[name] for name in expected} == expected
    # and each process counted its own part
    processes = await fleet.scrape()
    apis, workers = processes[:2], processes[2:]
    assert [one["progress_reports_total{applied}"] for one in apis] == [reports / 2] * 2
    assert [one["progress_flushed_total"] for one in apis] == [0, 0]
    assert [one["http_requests_total{POST,/graphql,200}"] for one in workers] == [0, 0]
    assert all(one["worker_runs_total{done,flush_progress}"] > 0 for one in workers)
