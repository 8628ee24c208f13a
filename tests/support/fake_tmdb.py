"""TMDb on loopback, answering as documented; `failures` switch single paths to something worse."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from resolvers.context import Runtime
from services.settings.settings import Settings
from services.tmdb import client as tmdb
from services.tmdb.client import Tmdb
from tests.support.fake_server import serve_on_free_port
from tests.support.runtimes import with_changes

KEY = "eyJhbGciOiJIUzI1NiJ9.read-access-token"
CONFIGURATION: dict[str, Any] = {
    "images": {
        "base_url": "http://image.tmdb.org/t/p/",
        "secure_base_url": "https://image.tmdb.org/t/p/",
        "backdrop_sizes": ["w300", "w780", "w1280", "original"],
        "logo_sizes": ["w45", "original"],
        "poster_sizes": ["w92", "w342", "w500", "w780", "original"],
        "profile_sizes": ["w45", "w185", "h632", "original"],
        "still_sizes": ["w92", "w185", "w300", "original"],
    },
    "change_keys": ["adult", "images"],
}
NOT_FOUND = {
    "success": False,
    "status_code": 34,
    "status_message": "The resource you requested could not be found.",
}
INVALID_KEY = {"status_code": 7, "status_message": "Invalid API key.", "success": False}


class Seen(NamedTuple):
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Answer(NamedTuple):
    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = {}
    slow: bool = False


def movie(number: int, **changes: Any) -> dict[str, Any]:
    """GET /movie/{id}?append_to_response=credits,external_ids,similar, shortened."""
    return {
        "adult": False,
        "backdrop_path": f"/back{number}.jpg",
        "genres": [{"id": 28, "name": "Action"}, {"id": 878, "name": "Science Fiction"}],
        "id": number,
        "imdb_id": f"tt{number:07d}",
        "original_language": "en",
        "original_title": f"Film {number}",
        "overview": f"What happens in film {number}.",
        "popularity": 79.5,
        "poster_path": f"/poster{number}.jpg",
        "release_date": "1999-03-31",
        "runtime": 136,
        "spoken_languages": [{"iso_639_1": "en", "name": "English"}, {"iso_639_1": "xx"}],
        "status": "Released",
        "tagline": "",
        "title": f"The Film {number}",
        "vote_average": 8.2,
        "vote_count": 25000,
        "credits": {
            "cast": [
                {"id": 2, "name": "Second", "character": "Trinity", "order": 1, "popularity": 3},
                {"id": 1, "name": "First", "character": "Neo", "order": 0,
                 "profile_path": "/first.jpg", "popularity": 40.1},
            ],
            "crew": [
                {"id": 4, "name": "Grip", "department": "Camera", "job": "Key Grip"},
                {"id": 5, "name": "Writer", "department": "Writing", "job": "Screenplay"},
                {"id": 3, "name": "Director", "department": "Directing", "job": "Director"},
            ],
        },
        "external_ids": {"imdb_id": f"tt{number:07d}", "facebook_id": None},
        "similar": {"page": 1, "results": [], "total_pages": 1, "total_results": 0},
        **changes,
    }  # fmt: skip


def show(number: int, **changes: Any) -> dict[str, Any]:
    """GET /tv/{id}?append_to_response=..., shortened; specials, and one season of two episodes."""
    return {
        "id": number,
        "name": f"Show {number}",
        "original_name": f"Show {number}",
        "overview": "A show.",
        "first_air_date": "2011-04-17",
        "status": "Ended",
        "original_language": "en",
        "genres": [{"id": 10765, "name": "Sci-Fi & Fantasy"}],
        "created_by": [{"id": 9, "name": "Creator", "profile_path": None}],
        "number_of_seasons": 1,
        "number_of_episodes": 2,
        "popularity": 346.1,
        "vote_average": 8.4,
        "vote_count": 21000,
        "seasons": [
            {"season_number": 0, "episode_count": 5, "name": "Specials"},
            {"season_number": 1, "episode_count": 2, "name": "Season 1"},
        ],
        "credits": {"cast": [{"id": 1, "name": "First", "character": "Ned", "order": 0}]},
        "external_ids": {"imdb_id": "tt0944947"},
        "similar": {"results": []},
        **changes,
    }


def season(number: int, *, episodes: Iterable[int] = (1, 2), **changes: Any) -> dict[str, Any]:
    """GET /tv/{id}/season/{number}"""
    return {
        "season_number": number,
        "name": f"Season {number}",
        "air_date": "2011-04-17",
        "episodes": [
            {"episode_number": each, "name": f"Episode {each}", "overview": "",
             "air_date": "2011-04-17", "runtime": 62, "still_path": f"/still{each}.jpg"}
            for each in episodes
        ],
        **changes,
    }  # fmt: skip


def build_page(*numbers: int, total_pages: int = 1) -> dict[str, Any]:
    """A page of a list."""
    return {"page": 1, "results": [{"id": each} for each in numbers], "total_pages": total_pages}


@dataclass
class FakeTmdb:
    """`answers` by path; `failures` by path are given first, one a request."""

    port: int = 0
    answers: dict[str, Any] = field(default_factory=lambda: {"/configuration": CONFIGURATION})
    failures: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    slow: bool = False
    slow_seconds: float = 0.3

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/3"

    def has_movies(self, *numbers: int) -> None:
        self.answers |= {f"/movie/{number}": movie(number) for number in numbers}

    def has_show(self, number: int) -> None:
        self.answers |= {
            f"/tv/{number}": show(number),
            f"/tv/{number}/season/0": season(0, episodes=[1]),
            f"/tv/{number}/season/1": season(1),
        }

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix("/3")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(Seen(path, dict(parse_qsl(scope["query_string"].decode())), headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answer = self._answer(path, headers)
        if answer.slow or self.slow:
            await asyncio.sleep(self.slow_seconds)
        self.in_flight -= 1
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(k.encode(), v.encode()) for k, v in answer.headers.items()],
            }
        )
        body = b"" if answer.status == 304 else answer.body
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("authorization") != f"Bearer {KEY}":
            return Answer(401, json.dumps(INVALID_KEY).encode())
        if self.failures.get(path):
            return self.failures[path].pop(0)
        if path not in self.answers:
            return Answer(404, json.dumps(NOT_FOUND).encode())
        body = json.dumps(self.answers[path]).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        status = 304 if headers.get("if-none-match") == etag else 200
        return Answer(status, body, {"etag": etag, "content-type": "application/json"})


@asynccontextmanager
async def run_server() -> AsyncIterator[FakeTmdb]:
    fake = FakeTmdb()
    async with serve_on_free_port(fake) as fake.port:
        yield fake


@asynccontextmanager
async def open_client(fake: FakeTmdb, key: str = KEY, **settings: Any) -> AsyncIterator[Tmdb]:
    """Our client, set to the fake."""
    own = Settings(_env_file=None, tmdb_base_url=fake.url, tmdb_api_key=key, **settings)
    async with tmdb.open_tmdb(own) as client:
        yield client


@asynccontextmanager
async def open_runtime_with(runtime: Runtime, fake: FakeTmdb) -> AsyncIterator[Runtime]:
    """The runtime, talking to the fake."""
    async with open_client(fake) as client:
        yield with_changes(runtime, catalog={"tmdb": client})
