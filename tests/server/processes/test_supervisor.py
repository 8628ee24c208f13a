"""`serve --processes`, as real processes that are killed, frozen, replaced and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.settings.settings import Settings
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, is_running, until

QUERY = {"query": "{ __typename }"}
ANSWER = {"data": {"__typename": "Query"}}
SILENCE_SECONDS = 8
START_SECONDS = 90.0  # of several interpreters on a busy machine
SENT = 'http_requests_total{"POST","/graphql","200"}'


class Supervised:
    """A supervisor with two processes, and clients of its ports."""

    def __init__(self, process: Process, port: int, metrics_port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._metrics = httpx.AsyncClient(base_url=f"http://127.0.0.1:{metrics_port}", timeout=20)

    async def ready(self) -> tuple[int, dict[str, Any]]:
        response = await self._metrics.get("/ready")
        return response.status_code, response.json()

    async def pids(self) -> dict[int, int]:
        """Those that serve, by their places."""
        _, body = await self.ready()
        return {
            one["process"]: one["pid"] for one in body["processes"] if one["status"] == "healthy"
        }

    async def is_whole(self) -> bool:
        with suppress(httpx.TransportError):
            code, body = await self.ready()
            return (code, body["status"], len(body["processes"])) == (200, "healthy", 2)
        return False

    async def is_draining(self) -> bool:
        code, body = await self.ready()
        return (code, body["status"]) == (503, "draining")

    async def is_closed(self) -> bool:
        """Whether the public port refuses connections."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            try:
                await client.get("/health")
            except httpx.ConnectError:
                return True
        return False

    async def until_whole(self) -> dict[int, int]:
        await until(self.is_whole, START_SECONDS)
        return await self.pids()

    async def counts(self) -> Counter[str]:
        """The counters on the one page."""
        page = (await self._metrics.get("/metrics")).text
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = ",".join(f'"{value}"' for value in sample.labels.values())
                counts[f"{sample.name}{{{labels}}}"] = sample.value
        return counts

    async def sent(self) -> float:
        return (await self.counts())[SENT]

    async def place_of(self, response: httpx.Response) -> int:
        """Which process answered, by the line that it logged."""
        request_id = response.headers["x-request-id"]
        await until(lambda: request_id in self.process.output)
        lines = self.process.output.splitlines()
        (line,) = [json.loads(one) for one in lines if request_id in one and one[0] == "{"]
        return int(line["process"])

    async def aclose(self) -> None:
        await self._metrics.aclose()


@asynccontextmanager
async def supervised(settings: Settings, folder: Path, **more: str) -> AsyncIterator[Supervised]:
    port, metrics_port = free_port(), free_port()
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "MONGODB_TIMEOUT_MS": "20000",
        "REDIS_URL": settings.redis_url or "",
        "REDIS_TIMEOUT_MS": "5000",
        "PORT": str(port),
        "METRICS_PORT": str(metrics_port),
        "DATA_DIR": str(folder),
        "PROCESS_SILENCE_SECONDS": str(SILENCE_SECONDS),
        **more,
    }
    with Process(folder, "serve", "--processes", "2", environment=environment) as process:
        server = Supervised(process, port, metrics_port)
        await until(server.is_whole, START_SECONDS)
        yield server
        await server.aclose()


@pytest.fixture(scope="module")
async def server(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Supervised]:
    async with supervised(settings, tmp_path_factory.mktemp("supervised")) as server:
        yield server


async def connect_to_each(server: Supervised) -> dict[int, httpx.AsyncClient]:
    """A client with an open connection to each process, by place."""
    clients: dict[int, httpx.AsyncClient] = {}
    for _ in range(60):
        client = httpx.AsyncClient(base_url=server.url, timeout=20)
        response = await client.post("/graphql", json=QUERY)
        assert response.json() == ANSWER
        if clients.setdefault(await server.place_of(response), client) is not client:
            await client.aclose()
        if len(clients) == 2:
            break
    return clients


async def close_all(clients: dict[int, httpx.AsyncClient]) -> None:
    for client in clients.values():
        await client.aclose()


async def test_all_processes_answer_and_one_page_counts_what_all_did(server: Supervised) -> None:
    await server.until_whole()
    sent = await server.sent()
    # given a connection to each process
    clients = await connect_to_each(server)
    assert sorted(clients) == [1, 2]
    on_the_way = await server.sent() - sent
    # when each is sent some requests
    for number in range(30):
        await clients[1 + number % 2].post("/graphql", json=QUERY)
    # then the page has the sum, and what the system tells of each process
    assert await server.sent() - sent == on_the_way + 30
    counts = await server.counts()
    assert counts['process_resident_memory_bytes{"1"}'] > 2e7
    assert counts['process_resident_memory_bytes{"2"}'] > 2e7
    assert counts['process_resident_memory_bytes{"supervisor"}'] > 2e7
    # and the public port has no such page
    assert (await clients[1].get("/metrics")).status_code == 404
    assert (await clients[1].get("/ready")).status_code == 200
    await close_all(clients)


async def test_a_killed_process_is_replaced_and_its_counts_stay(server: Supervised) -> None:
    pids = await server.until_whole()
    clients = await connect_to_each(server)
    sent = await server.sent()
    # given requests that the process has answered just now
    for _ in range(25):
        await clients[1].post("/graphql", json=QUERY)
    # when it is killed
    os.kill(pids[1], signal.SIGKILL)
    # then who is with the other notices nothing, and new connections are all answered
    for _ in range(25):
        assert (await clients[2].post("/graphql", json=QUERY)).json() == ANSWER
    for _ in range(25):
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            assert (await client.post("/graphql", json=QUERY)).json() == ANSWER
    # and another takes its place
    new = await server.until_whole()
    assert (new[1] != pids[1], new[2]) == (True, pids[2])
    # and nothing that was counted is lost
    counts = await server.counts()
    assert counts[SENT] - sent == 75
    assert counts['serving_process_replacements_total{"ended"}'] == 1
    assert "process_lost" in server.process.output
    # and the page goes on
    fresh = await connect_to_each(server)
    sent = await server.sent()
    for number in range(20):
        await fresh[1 + number % 2].post("/graphql", json=QUERY)
    assert await server.sent() - sent == 20
    await close_all(clients)
    await close_all(fresh)


async def test_a_process_that_stands_still_is_replaced_and_covered_meanwhile(
    server: Supervised,
) -> None:
    pids = await server.until_whole()
    # given a process that does nothing any more
    os.kill(pids[2], signal.SIGSTOP)
    # when many come, then all are answered: by the other, though some wait until it is noticed
    async with asyncio.timeout(START_SECONDS):
        for _ in range(12):
            async with httpx.AsyncClient(base_url=server.url, timeout=START_SECONDS) as client:
                assert (await client.post("/graphql", json=QUERY)).json() == ANSWER
    # and it is killed and replaced
    await until(lambda: not is_running(pids[2]), START_SECONDS)
    new = await server.until_whole()
    assert (new[1], new[2] != pids[2]) == (pids[1], True)
    assert (await server.counts())['serving_process_replacements_total{"silent"}'] == 1


async def post_without_end(server: Supervised, stop: asyncio.Event, done: Counter[str]) -> None:
    """Requests one after another on connections that are kept as long as they may be."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        while not stop.is_set():
            try:
                response = await client.post("/graphql", json=QUERY)
            except httpx.TransportError as error:
                done[repr(error)] += 1
            else:
                done["answered" if response.json() == ANSWER else response.text] += 1
            await asyncio.sleep(0.01)


async def test_sighup_replaces_all_one_by_one_and_no_request_fails(server: Supervised) -> None:
    pids = await server.until_whole()
    sent = await server.sent()
    # given clients that send all the time
    stop, done = asyncio.Event(), Counter[str]()
    sending = [asyncio.create_task(post_without_end(server, stop, done)) for _ in range(8)]
    await asyncio.sleep(0.5)
    # when the processes are to be replaced
    server.process.send(signal.SIGHUP)
    await until(lambda: "reload_finished" in server.process.output, 2 * START_SECONDS)
    stop.set()
    await asyncio.gather(*sending)
    # then others serve, and all that was sent was answered and counted
    new = await server.until_whole()
    assert new.keys() == pids.keys() and not set(new.values()) & set(pids.values())
    assert not any(is_running(pid) for pid in pids.values())
    assert done.keys() == {"answered"}
    assert await server.sent() - sent == done["answered"] > 50
    assert (await server.counts())['serving_process_replacements_total{"reload"}'] == 2


async def test_sigterm_drains_and_all_end(settings: Settings, tmp_path: Path) -> None:
    # given processes that drain, and a request of which half has come to each of them
    async with supervised(settings, tmp_path, DRAIN_SECONDS="4") as server:
        pids = await server.pids()
        port = httpx.URL(server.url).port
        body = json.dumps(QUERY).encode()
        head = (
            f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode()
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        for _, writer in streams:
            writer.write(head + body[:5])
        await asyncio.sleep(0.5)
        # when they are to stop
        server.process.send(signal.SIGTERM)
        await until(server.is_draining, 3)
        # then they say so, and still answer
        async with httpx.AsyncClient(base_url=server.url) as client:
            response = await client.post("/graphql", json=QUERY)
        assert (response.json(), response.headers["connection"]) == (ANSWER, "close")
        # until nobody can connect any more; what had come by then is answered
        await until(server.is_closed, 30)
        for reader, writer in streams:
            writer.write(body[5:])
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
        # and all end well
        assert await server.process.ended(30) == 0
        assert not any(is_running(pid) for pid in pids.values())


async def test_processes_end_when_their_supervisor_was_killed(
    settings: Settings, tmp_path: Path
) -> None:
    async with supervised(settings, tmp_path) as server:
        pids = await server.pids()
        server.process.send(signal.SIGKILL)
        await server.process.ended(30)
        await until(lambda: not any(is_running(pid) for pid in pids.values()), 30)


async def test_without_a_port_of_their_own_metrics_are_on_the_public_one(
    settings: Settings, tmp_path: Path
) -> None:
    # given a process of a supervisor, as the settings want it
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
        "PORT": str(free_port()),
        "DATA_DIR": str(tmp_path),
        "DRAIN_SECONDS": "120",
        "PROCESSES": "1",
    }
    with Process(tmp_path, "serve", environment=environment) as process:
        async with Served(int(environment["PORT"])) as served:
            # when it is asked, then it answers what its supervisor knows of all
            await served.graphql("{ __typename }")
            page = (await served.client.get("/metrics")).text
            assert (
                'http_requests_total{method="POST",route="/graphql",status_code="200"} 1.0' in page
            )
            assert 'process_resident_memory_bytes{process="supervisor"}' in page
            # and when its successor cannot start, then it stays
            (pid,) = process.children()
            (tmp_path / ".env").write_text("PROVIDERS=nonsense\n")
            process.send(signal.SIGHUP)
            await until(lambda: "reload_failed" in process.output, START_SECONDS)
            assert process.children() == [pid]
            assert (await served.graphql("{ __typename }"))[0] == 200
            # and a second signal ends what drains at once, which is no clean end
            process.send(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert not process.has_ended
            process.send(signal.SIGTERM)
            assert await process.ended(30) == 1
            assert not is_running(pid)


@pytest.mark.parametrize("number", ["-1", "two", "257", "1.5"])
async def test_a_bad_number_is_refused_in_one_line(tmp_path: Path, number: str) -> None:
    with Process(tmp_path, "serve", f"--processes={number}", environment={}) as process:
        assert await process.ended() == 2
        assert "neither `auto` nor a number from 0 to 256" in " ".join(process.output.split())
        assert "Traceback" not in process.output
    with Process(tmp_path / "setting", "serve", environment={"PROCESSES": number}) as process:
        assert await process.ended() == 1
        assert "PROCESSES" in process.output and "Traceback" not in process.output


async def test_what_keeps_all_from_starting_is_told_once_and_ends_all(tmp_path: Path) -> None:
    # given an address of a store that cannot be read
    environment = {"MONGODB_URI": "nonsense", "REDIS_URL": "redis://127.0.0.1:9"}
    environment |= {"PORT": str(free_port()), "PROCESSES": "3"}
    with Process(tmp_path, "serve", environment=environment) as process:
        assert await process.ended(START_SECONDS) == 1
        assert process.output.count("marquee: MONGODB_URI") == 1
        assert "processes_given_up" in process.output and "Traceback" not in process.output


async def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with Process(tmp_path, "serve", "--processes", "2", environment={"PORT": str(port)}) as process:
        assert await process.ended() == 1
        assert f"Port {port} on 127.0.0.1 cannot be used" in process.output
        assert "process_started" not in process.output
    listening.close()


async def test_processes_that_keep_dying_are_given_up(settings: Settings, tmp_path: Path) -> None:
    # given a supervisor whose only process is killed again and again
    environment = {"MONGODB_URI": settings.mongodb_uri or "", "REDIS_URL": settings.redis_url or ""}
    environment |= {"PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    with Process(tmp_path, "serve", "--processes=1", environment=environment) as process:
        killed: set[int] = set()
        while not process.has_ended and len(killed) < 20:
            for pid in set(process.children()) - killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
        # then it tries a few times, and says so
        assert await process.ended() == 1
        assert len(killed) == 5
        assert process.output.count("process_lost") == 5
        assert "processes_given_up" in process.output
