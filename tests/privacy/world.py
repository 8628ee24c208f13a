"""Two people, made by the front door: Ada, whose things bear marks, and Bob, who should see none.

What is stored of Ada can be looked at whole, to see that nothing of it changed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import models
from models.mongo import ids
from resolvers.context import Runtime
from resolvers.runtimes import Media
from services.accounts.passwords import Passwords
from services.media.library import MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from services.redis.pool import Client
from tests.privacy.operations import OWNED, Made
from tests.support import films_on_disk, titles
from tests.support.api_client import GraphQL, connect_runtime
from tests.support.runtimes import with_changes
from workers.flush_progress import flush_progress

EMAIL, PASSWORD = "ada-of-the-marker@example.org", "adas velvet cactus lamp"
BOBS_EMAIL, BOBS_PASSWORD = "bob@example.org", "bobs velvet cactus lamp"
POSITION, DURATION = 1237.25, 4321.75
FILM, SHOW, EPISODE, LATER = (
    titles.film_id(1),
    titles.show_id(1),
    "episode_1.1.1",
    titles.film_id(2),
)
JOB = "job_ofthemarker"
_NOT_ADAS = {"audit", "mail_requests"}  # who tried what, and mails anybody may ask for
_ERRORS = "errors { code message }"

REGISTER = f"""mutation ($email: EmailAddress!, $password: String!, $name: String!,
$device: DeviceInput)
{{ register(input: {{email: $email, password: $password, displayName: $name, device: $device}})
{{ tokens {{ accessToken refreshToken }} viewer {{ id }} {_ERRORS} }} }}"""
START = f"""mutation ($id: ID!, $device: DeviceInput!) {{
startPlayback(input: {{playableId: $id, device: $device}}) {{ session {{ id }} {_ERRORS} }} }}"""
REPORT = f"""mutation ($id: ID!, $at: Float!, $of: Float, $number: Int!) {{ reportProgress(input: {{
sessionId: $id, sequence: $number, positionSeconds: $at, durationSeconds: $of}}) {{
progress {{ id }} {_ERRORS} }} }}"""
WATCHLIST = f"mutation ($id: ID!) {{ addToWatchlist(input: {{id: $id}}) {{ {_ERRORS} }} }}"
KEY = f"""mutation ($name: String!, $password: String!) {{
createApiKey(input: {{name: $name, password: $password, scopes: [READ, PLAYBACK]}}) {{ secret
apiKey {{ id prefix }} {_ERRORS} }} }}"""
PROFILE = f"""mutation {{ updateProfile(input: {{language: "kw", audioLanguages: ["gv"],
subtitleLanguages: ["yi"]}}) {{ {_ERRORS} }} }}"""
MINE = """{ viewer { id sessions { id } nowPlaying { id } watchlist { nodes { id } }
continueWatching { nodes { id } } history { nodes { id } } } }"""
HLS = "query ($id: ID!) { node(id: $id) { ... on Playable { hls { masterPlaylistUrl } } } }"


@dataclass
class Person:
    token: str
    refresh_token: str
    ids: dict[str, str] = field(default_factory=dict)  # id -> type of what has it


@dataclass
class World:
    runtime: Runtime
    client: httpx.AsyncClient
    ada: Person = field(init=False)
    bob: Person = field(init=False)
    hls_url: str = ""
    sessions: list[str] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)

    async def ask(
        self, query: str, token: str | None = None, /, **variables: Any
    ) -> dict[str, Any]:
        """The data of the only root field; all must be well."""
        body = (await GraphQL(self.client)(query, variables, token))[1]
        assert "errors" not in body, body
        (payload,) = body["data"].values()
        assert not (payload or {}).get("errors"), payload
        return dict(payload)

    async def send(self, made: Made, token: str | None) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": made.text, "variables": made.variables}
        return await self.client.post("/graphql", json=body, headers=headers)

    def as_admin(self, person: Person) -> str:
        """The same person with all the rights there are."""
        viewer = self.runtime.accounts.access_tokens.verify(person.token, self.runtime.clock())
        return self.runtime.accounts.access_tokens.issue(
            user_id=viewer.user_id,
            role=models.Role.ADMIN.value,
            tier=models.AccountTier.PREMIUM.value,
            login_id=viewer.login_id,
            now=self.runtime.clock(),
        )

    @property
    def candidates(self) -> dict[str, str]:
        """What is handed in wherever an id is taken, with the type of what has it."""
        public = {FILM: "Movie", SHOW: "TvShow", EPISODE: "Episode", JOB: "Job"}
        return self.ada.ids | public

    # ---- what belongs to Ada

    def seen(self, answer: httpx.Response | str, sent: object = "") -> set[str]:
        """Marks of Ada in an answer, headers and all, but what the asker wrote himself."""
        text = answer if isinstance(answer, str) else answer.text + repr(answer.headers.raw)
        request = json.dumps(sent)
        return {mark for mark in self.marks if mark in text and mark not in request}

    def owned_ids_in(self, body: dict[str, Any]) -> set[str]:
        """Ada's ids in the data of an answer, whoever wrote them first."""
        text = json.dumps(body.get("data"))
        return {id_ for id_ in self.ada.ids if id_ in text}

    async def stored(self) -> dict[str, Any]:
        """All documents and Redis keys that name Ada or a thing of hers."""
        return await _documents(self.ada.ids) | await _keys(self.runtime.redis, self.ada.ids)


async def _documents(names: Iterable[str]) -> dict[str, Any]:
    """In one read of all collections: this is asked for after each of thousands of requests."""
    every = [document.get_pymongo_collection() for document in models.DOCUMENTS]
    first, *others = [collection for collection in every if collection.name not in _NOT_ADAS]
    unions = [{"$unionWith": {"coll": other.name, "pipeline": _within(other)}} for other in others]
    documents: dict[str, Any] = {}
    async for row in await first.aggregate([*_within(first), *unions]):
        if any(name in repr(row) for name in names):
            documents[f"{row['collection']} {row['of']['_id']}"] = row["of"]
    return documents


def _within(collection: Any) -> list[dict[str, Any]]:
    return [{"$project": {"_id": 0, "collection": {"$literal": collection.name}, "of": "$$ROOT"}}]


async def _keys(redis: Client, names: Iterable[str]) -> dict[str, Any]:
    keys = [key async for key in redis.scan_iter(count=1000)]
    values = await _values(redis, keys)
    return {
        _text(key): value
        for key, value in zip(keys, values, strict=True)
        if any(name in _text(key) or name in repr(value) for name in names)
    }


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


async def _values(redis: Client, keys: list[Any]) -> list[Any]:
    """What the keys hold, in two trips; of a key that is gone meanwhile, nothing."""
    types = redis.pipeline(transaction=False)
    for key in keys:
        types.type(key)
    reads = redis.pipeline(transaction=False)
    for key, kind in zip(keys, await types.execute(), strict=True):
        _read(reads, key, _text(kind))
    return await reads.execute()


def _read(reads: Any, key: Any, kind: str) -> None:
    match kind:
        case "string" | "none":
            reads.get(key)
        case "hash":
            reads.hgetall(key)
        case "zset":
            reads.zrange(key, 0, -1, withscores=True)
        case "set":
            reads.smembers(key)
        case "list":
            reads.lrange(key, 0, -1)
        case "stream":
            reads.xrange(key)
        case other:
            raise AssertionError(f"{_text(key)} is a {other}")


# ---- making them


@pytest.fixture
async def world(runtime: Runtime, tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(runtime, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
async def shared_world(
    empty_stores: Callable[[], Awaitable[Runtime]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One for all tests of a file that change nothing; no other may be in it."""
    async with make_world(await empty_stores(), tmp_path_factory.mktemp("world")) as made:
        yield made


@asynccontextmanager
async def make_world(runtime: Runtime, folder: Path) -> AsyncIterator[World]:
    passwords = Passwords(memory_kib=64, passes=1)  # how dear a guess is, is tested elsewhere
    films_on_disk.store(folder, FILM, films_on_disk.film())
    library = MediaLibrary(folder)
    addresses = MediaUrlSigner(
        runtime.settings.secret_bytes, lifetime_seconds=3600, binds_address=False
    )
    changed = with_changes(
        runtime,
        accounts={"passwords": passwords},
        sources={"media": Media(library, addresses, runtime.sources.media.is_revoked)},
    )
    async with connect_runtime(changed) as client:
        world = World(changed, client)
        await _fill(world)
        yield world
    library.close()
    passwords.close()


async def _fill(world: World) -> None:
    films = [titles.film(number, runtime_seconds=int(DURATION)) for number in (1, 2, 3)]
    await titles.store([*films, *titles.whole_show(1, [2]), titles.person(1, "Person 1"),
                        titles.genre("drama"), _job()])  # fmt: skip
    device = {"key": "adas-marked-device", "name": "Adas marked television", "kind": "TV"}
    world.ada = await _registered(world, EMAIL, PASSWORD, "Ada of the marker", device)
    bobs = {"key": "bobs-device", "name": "Bob's own", "kind": "WEB"}
    world.bob = await _registered(world, BOBS_EMAIL, BOBS_PASSWORD, "Bob", bobs)
    await _watched(world, device)
    token = world.ada.token
    await world.ask(PROFILE, token)
    await world.ask(WATCHLIST, token, id=LATER)
    await world.ask(WATCHLIST, token, id=SHOW)
    key = await world.ask(KEY, token, name="Adas marked key", password=PASSWORD)
    world.hls_url = (await world.ask(HLS, token, id=FILM))["hls"]["masterPlaylistUrl"]
    await _know(world, key)


async def _registered(
    world: World, email: str, password: str, name: str, device: dict[str, str]
) -> Person:
    payload = await world.ask(
        REGISTER, email=email, password=password, name=name, device=device
    )  # fmt: skip
    return Person(payload["tokens"]["accessToken"], payload["tokens"]["refreshToken"])


async def _watched(world: World, device: dict[str, str]) -> None:
    """A film that plays on, its progress and a viewing in the database, and an episode begun."""
    for playable, at in ((EPISODE, POSITION + 1), (FILM, POSITION)):
        session = (await world.ask(START, world.ada.token, id=playable, device=device))["session"]
        world.sessions.append(session["id"])
        for number, place in enumerate((0.0, at)):
            await world.ask(
                REPORT, world.ada.token, id=session["id"], at=place, of=DURATION, number=number
            )
    await flush_progress(world.runtime, "worker-1")
    now = datetime.now(UTC)
    user_id = (await world.ask(MINE, world.ada.token))["id"]
    await models.write_viewings(
        [
            models.ViewingRecord(
                id=ids.new("viewing"),
                user_id=user_id,
                playable_id=FILM,
                started_at=now,
                last_seen_at=now,
                watched_seconds=DURATION,
                device=models.DeviceRecord(**device | {"kind": models.DeviceKind.TV}),  # type: ignore[arg-type]
                stamp_ms=1,
            )
        ],
        timedelta(days=30),
    )


async def _know(world: World, key: dict[str, Any]) -> None:
    """Ada's ids by type, and the texts that stand for her wherever they turn up."""
    mine = await world.ask(MINE, world.ada.token)
    kinds = {mine["id"]: "Viewer", key["apiKey"]["id"]: "ApiKey"}
    kinds |= {one["id"]: "AuthSession" for one in mine["sessions"]}
    kinds |= {one["id"]: "PlaybackSession" for one in mine["nowPlaying"]}
    kinds |= {one["id"]: "ViewingProgress" for one in mine["continueWatching"]["nodes"]}
    kinds |= {one["id"]: "Viewing" for one in mine["history"]["nodes"]}
    assert set(kinds.values()) == OWNED  # of each type there is something
    world.ada.ids = kinds
    media_token = world.hls_url.split("/media/")[1].split("/")[0]
    world.marks = {
        EMAIL, "Ada of the marker", "adas-marked-device", "Adas marked television", str(POSITION),
        str(POSITION + 1), str(DURATION), '"kw"', '"gv"', '"yi"', "Adas marked key",
        key["apiKey"]["prefix"], key["secret"], world.ada.token, world.ada.refresh_token,
        media_token, *kinds,
    }  # fmt: skip


def _job() -> models.Job:
    """Staff's, not a viewer's; there is one, so that asking for it could find something."""
    return models.Job(
        id=JOB, kind="import", state=models.JobState.RUNNING, heartbeat_at=datetime.now(UTC)
    )
