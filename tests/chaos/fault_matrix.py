"""Faults of either store, and what viewers do meanwhile: one bench that has both.

A fault lasts `FAULT_SECONDS` while every walk goes on; then all must work again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from websockets.asyncio.client import connect

from tests.chaos.stores import DEADLINE_SECONDS, Stores
from tests.support.api_client import PROTOCOL, Socket
from tests.support.processes import Served
from tests.support.relay import Relay

FAULT_SECONDS = 2.0
_WRITES = ["insert", "update", "delete", "findAndModify", "bulkWrite"]
_CATALOGUE = {"movies", "shows", "seasons", "episodes", "people", "genres", "search_words"}
CREDENTIALS = {"email": "matrix@example.org", "password": "violet harbour 93 tundra mosaic"}
_SLACK_SECONDS = 2.0  # of a busy machine
_REDIS_SECONDS = 0.5  # REDIS_TIMEOUT_MS, and what a first connection takes
LONGEST_SECONDS = 10.0
ALLOWED = {"UPSTREAM_UNAVAILABLE", "SERVICE_BUSY"}

BROWSE = "query ($n: Int) { movies(first: $n) { nodes { id title } } }"
LOGIN = """mutation ($input: LoginInput!) { login(input: $input) {
  tokens { accessToken } errors { code } } }"""
LOGOUT = "mutation { logout { revokedSessions errors { code } } }"
WHO = "{ viewer { id } }"
START = """mutation ($id: ID!) { startPlayback(input: {playableId: $id, device: {key: "tv"}}) {
  session { id } errors { code } } }"""
REPORT = """mutation ($id: ID!, $n: Int!, $at: Float!) {
  reportProgress(input: {sessionId: $id, sequence: $n, positionSeconds: $at}) {
    applied progress { positionSeconds } errors { code } } }"""
BATCH = """mutation ($input: ReportProgressBatchInput!) { reportProgressBatch(input: $input) {
  applied errors { code } } }"""
JOB = "mutation { flushProgress { job { id } errors { code } } }"
CHANGED = "subscription ($id: ID!) { progressChanged(playableId: $id) { positionSeconds } }"
PLACES = """query ($ids: [ID!]!) { nodes(ids: $ids) {
  id ... on Movie { progress { positionSeconds durable } } } }"""


@dataclass
class Bench:
    """Two API processes behind two relays, their stores, and what the first acknowledged."""

    served: Served
    other: Served
    stores: Stores
    redis_relay: Relay
    mongo_relay: Relay
    films: list[str] = field(default_factory=list)
    token: str = ""
    leaving: str = ""  # of the sign-in that is ended in the fault
    session: str = ""
    sequence: int = 0
    positions: dict[str, float] = field(default_factory=dict)  # acknowledged, by film
    snapshot: dict[bytes, bytes] = field(default_factory=dict)
    backup: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def relay(self, store: str) -> Relay:
        return self.redis_relay if store == "redis" else self.mongo_relay

    def admin(self) -> Redis:
        """A client of Redis itself as a user of its own, whom no fault shuts out."""
        return Redis.from_url(self.stores.redis.uri, username="admin", password="any")

    async def create_admin(self) -> None:
        async with Redis.from_url(self.stores.redis.uri) as redis:
            await redis.execute_command(  # type: ignore[no-untyped-call]
                "ACL", "SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all"
            )

    async def send(self, query: str, token: str = "", **variables: Any) -> Outcome:
        started = time.monotonic()
        status, body = await self.served.graphql(query, variables, token or None)
        return Outcome(status, body, time.monotonic() - started)

    async def sign_in(self) -> str:
        outcome = await self.send(LOGIN, input=CREDENTIALS)
        return str(outcome.payload("login")["tokens"]["accessToken"])


@dataclass(frozen=True)
class Outcome:
    """An answer and the seconds it took."""

    status: int
    body: dict[str, Any]
    seconds: float

    @property
    def codes(self) -> set[str]:
        """Codes of its errors, wherever they are."""
        errors = {each["extensions"]["code"] for each in self.body.get("errors", ())}
        return errors | self.payload_codes

    @property
    def payload_codes(self) -> set[str]:
        """Codes of what the payloads blame on the input."""
        payloads = (self.body.get("data") or {}).values()
        lists = [one.get("errors") or () for one in payloads if isinstance(one, dict)]
        return {each["code"] for errors in lists for each in errors}

    @property
    def is_taken(self) -> bool:
        """Whether it was acknowledged."""
        return self.status == 200 and not self.codes

    def payload(self, name: str) -> dict[str, Any]:
        assert self.is_taken, self.body
        payload: dict[str, Any] = self.body["data"][name]
        return payload


async def prepare(bench: Bench) -> None:
    """Sign in twice and begin to watch; all of it before the fault."""
    listed = await bench.send(BROWSE, n=5)
    bench.films = [film["id"] for film in listed.payload("movies")["nodes"]]
    bench.token, bench.leaving = await bench.sign_in(), await bench.sign_in()
    started = await bench.send(START, bench.token, id=bench.films[0])
    bench.session, bench.sequence = started.payload("startPlayback")["session"]["id"], 0
    bench.positions = {}
    assert (await report(bench)).is_taken


async def browse(bench: Bench) -> Outcome:
    return await bench.send(BROWSE, n=6 + time.monotonic_ns() % 40)


async def sign_in(bench: Bench) -> Outcome:
    return await bench.send(LOGIN, input=CREDENTIALS)


async def sign_out_elsewhere(bench: Bench) -> Outcome:
    outcome = await bench.send(LOGOUT, bench.leaving)
    return Outcome(200, {"data": {}}, outcome.seconds) if outcome.codes == GONE else outcome


async def start(bench: Bench) -> Outcome:
    return await bench.send(START, bench.token, id=bench.films[1])


async def report(bench: Bench) -> Outcome:
    """The next one, ten seconds on; sent again until it is taken, as players do."""
    at = 1000.0 + 10 * bench.sequence
    outcome = await bench.send(REPORT, bench.token, id=bench.session, n=bench.sequence, at=at)
    if outcome.is_taken:
        bench.sequence += 1
        bench.positions[bench.films[0]] = at
    return outcome


async def offline_batch(bench: Bench) -> Outcome:
    now = datetime.now(UTC)
    at = 100.0 + now.timestamp() % 1000
    event = {
        "playableId": bench.films[2],
        "deviceKey": "phone",
        "eventId": str(time.monotonic_ns()),
        "positionSeconds": at,
        "occurredAt": now.isoformat(),
    }
    outcome = await bench.send(
        BATCH, bench.token, input={"events": [event], "sentAt": now.isoformat()}
    )
    if outcome.is_taken:
        bench.positions[bench.films[2]] = at
    return outcome


async def begin_job(bench: Bench) -> Outcome:
    return await bench.send(JOB, bench.token)


async def subscribe(bench: Bench) -> Outcome:
    """The stream's first event, which is the state of now."""
    started = time.monotonic()
    address = str(bench.served.client.base_url).replace("http://", "ws://") + "/graphql"
    address = address.replace("//graphql", "/graphql")
    async with (
        asyncio.timeout(LONGEST_SECONDS),
        connect(address, subprotocols=[PROTOCOL], compression=None) as connection,
    ):
        socket = await Socket(connection).initialised(bench.token)
        await socket.subscribe("1", CHANGED, {"id": bench.films[0]})
        message = json.loads(await connection.recv())
    payload = message["payload"]
    body = payload if message["type"] == "next" else {"errors": payload}
    return Outcome(200, body, time.monotonic() - started)


GONE = {"INVALID_TOKEN"}
Walk = Callable[[Bench], Awaitable[Outcome]]
WALKS: dict[str, Walk] = {
    "browse": browse,
    "sign in": sign_in,
    "sign out elsewhere": sign_out_elsewhere,
    "start": start,
    "report": report,
    "offline batch": offline_batch,
    "subscription": subscribe,
    "job": begin_job,
}


def _deadline(*, mongodb: int = 0, redis: int = 0) -> float:
    """Of an operation that waits so often, one after another, for a store that is silent."""
    return mongodb * DEADLINE_SECONDS + redis * _REDIS_SECONDS + _SLACK_SECONDS


# After the first silence the guards refuse at once: no operation waits for each of its calls.
DEADLINES = {
    "browse": _deadline(mongodb=1, redis=1),
    "sign in": _deadline(mongodb=2, redis=2),
    "sign out elsewhere": _deadline(mongodb=2, redis=1),
    "start": _deadline(mongodb=2, redis=2),
    "report": _deadline(mongodb=1, redis=2),
    "offline batch": _deadline(mongodb=1, redis=2),
    "subscription": _deadline(mongodb=1, redis=2),
    "job": _deadline(mongodb=1, redis=1),
}


@dataclass(frozen=True)
class Fault:
    """Something that happens to a store, and its end."""

    begin: Callable[[Bench], Awaitable[None]]
    end: Callable[[Bench], Awaitable[None]]


def _relayed(store: str, **changes: Any) -> Fault:
    """A relay that behaves in some way until it is mended."""

    async def begin(bench: Bench) -> None:
        for name, value in changes.items():
            setattr(bench.relay(store), name, value)

    async def end(bench: Bench) -> None:
        relay = bench.relay(store)
        relay.delay_seconds = 0.0
        relay.mend()

    return Fault(begin, end)


def _called(store: str, name: str) -> Fault:
    async def begin(bench: Bench) -> None:
        getattr(bench.relay(store), name)()

    async def end(bench: Bench) -> None:
        bench.relay(store).mend()

    return Fault(begin, end)


def _commanded(begin: list[tuple[str, ...]], end: list[tuple[str, ...]]) -> Fault:
    """Commands to Redis itself, past the relay."""

    async def run(bench: Bench, commands: list[tuple[str, ...]]) -> None:
        async with bench.admin() as redis:
            await redis.ping()
            for command in commands:
                await redis.execute_command(*command)  # type: ignore[no-untyped-call]

    return Fault(lambda bench: run(bench, begin), lambda bench: run(bench, end))


async def _go_back(bench: Bench) -> None:
    """Redis as it was before anybody watched, in a history of another name."""
    async with bench.admin() as redis:
        await redis.flushdb()
        for key, value in bench.snapshot.items():
            await redis.restore(key, 0, value, replace=True)
        await redis.execute_command("DEBUG", "CHANGE-REPL-ID")  # type: ignore[no-untyped-call]
    bench.redis_relay.reset()


async def _nothing(bench: Bench) -> None: ...


async def _step_down(bench: Bench) -> None:
    async with bench.stores.connect_admin() as client:
        await client.admin.command("replSetStepDown", 2, force=True)


async def _change_password(bench: Bench) -> None:
    """From now on ours is wrong; connections that are open would not notice."""
    await bench.stores.set_user(pwd="another")
    bench.mongo_relay.reset()


async def _take_rights(bench: Bench) -> None:
    await bench.stores.set_user(roles=[])


async def _give_back(bench: Bench) -> None:
    await bench.stores.set_user()


async def _fill_mongodb(bench: Bench) -> None:
    """Writes fail as on a disk without room (OutOfDiskSpace), reads do not."""
    async with bench.stores.connect_admin() as client:
        await client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {"errorCode": 14031, "failCommands": _WRITES, "appName": "marquee"},
            }
        )


async def _empty_mongodb(bench: Bench) -> None:
    async with bench.stores.connect_admin() as client:
        await client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def _restore_mongodb(bench: Bench) -> None:
    """What people wrote is as in the backup, the catalogue is as it was."""
    async with bench.stores.connect_admin() as client:
        for name, documents in bench.backup.items():
            await client.marquee[name].delete_many({})
            if documents:
                await client.marquee[name].insert_many(documents)
    bench.mongo_relay.reset()


async def take_snapshot(bench: Bench) -> None:
    """Remember what Redis and MongoDB hold now, but for the catalogue."""
    async with bench.stores.connect_admin() as client:
        names = set(await client.marquee.list_collection_names()) - _CATALOGUE
        bench.backup = {name: await client.marquee[name].find().to_list() for name in names}
    async with bench.admin() as redis:
        bench.snapshot = {}
        for key in await redis.keys("*"):
            value = await redis.dump(key)
            if value is not None:
                bench.snapshot[key] = value


FAULTS: dict[str, Fault] = {
    **{
        f"{store} {name}": fault
        for store in ("redis", "mongodb")
        for name, fault in {
            "refused": _called(store, "cut"),
            "reset": _relayed(store, resets_after_answers=True),
            "reset while idle": _called(store, "reset"),
            "silent": _relayed(store, is_silent=True),
            "slow": _relayed(store, delay_seconds=0.3),
            "half answer": _relayed(store, halves_answers=True),
        }.items()
    },
    "redis wrong password": _commanded(
        [("CONFIG", "SET", "requirepass", "changed"), ("CLIENT", "KILL", "SKIPME", "yes")],
        [("CONFIG", "SET", "requirepass", "")],
    ),
    "redis no rights": _commanded(
        [("ACL", "SETUSER", "default", "-@write")], [("ACL", "SETUSER", "default", "+@all")]
    ),
    "redis older snapshot": Fault(_go_back, _nothing),
    "redis full": _commanded(
        [("CONFIG", "SET", "maxmemory", "1")], [("CONFIG", "SET", "maxmemory", "0")]
    ),
    "redis stepped down": _commanded(
        [("REPLICAOF", "127.0.0.1", "1")], [("REPLICAOF", "NO", "ONE")]
    ),
    "mongodb wrong password": Fault(_change_password, _give_back),
    "mongodb no rights": Fault(_take_rights, _give_back),
    "mongodb older snapshot": Fault(_restore_mongodb, _nothing),
    "mongodb full": Fault(_fill_mongodb, _empty_mongodb),
    "mongodb stepped down": Fault(_step_down, _nothing),
}
SHORT = ["redis reset while idle", "redis older snapshot", "mongodb silent", "mongodb stepped down"]


async def endure(bench: Bench, seconds: float) -> list[tuple[str, Outcome]]:
    """All walks at once, again and again; their outcomes."""
    outcomes: list[tuple[str, Outcome]] = []
    give_up_at = time.monotonic() + seconds

    async def repeat(name: str) -> None:
        while True:
            outcomes.append((name, await WALKS[name](bench)))
            if time.monotonic() >= give_up_at:
                return
            await asyncio.sleep(0.2)

    await asyncio.gather(*(repeat(name) for name in WALKS))
    return outcomes
