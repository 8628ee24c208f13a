"""Our own films over HTTP, from the front door of the whole application."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, urljoin

import httpx
import m3u8
import pytest

from resolvers.context import Runtime
from resolvers.runtimes import Media
from server.app import build_app
from services.errors import UpstreamUnavailable
from services.media.library import MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from services.telemetry.access_log import AccessLog
from tests.support import titles
from tests.support.api_client import (
    LiveServer,
    build_silent_app,
    connect_runtime,
    serve_app,
    token_for,
)
from tests.support.films_on_disk import audio_track, content, film, rendition, segment, store
from tests.support.runtimes import with_changes

NOW = 1_800_000_000.0
LIFETIME = 6 * 3600
FILM, OTHER = titles.film_id(1), titles.film_id(2)
LOGIN = "login_1"  # of token_for


@dataclass
class Cinema:
    """The application over a library of two films, with a clock of its own."""

    folder: Path
    library: MediaLibrary
    now: float = NOW
    revoked: set[str] = field(default_factory=set)
    runtime: Runtime = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    @property
    def addresses(self) -> MediaUrlSigner:
        return self.runtime.sources.media.addresses

    def address(self, path: str, title_id: str = FILM, login_id: str = LOGIN) -> str:
        token = self.addresses.sign(title_id, login_id, "127.0.0.1", self.now).token
        return f"/media/{token}/{title_id}/{path}"

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(self.address(path), headers=named)


@pytest.fixture
async def cinema(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Cinema]:
    folder = tmp_path / "media"
    store(folder, FILM, film())
    store(folder, OTHER, film(subtitles=[]))
    library = MediaLibrary(folder)
    cinema = Cinema(folder, library)

    async def is_revoked(login_id: str) -> bool:
        return login_id in cinema.revoked

    addresses = MediaUrlSigner(
        runtime.settings.secret_bytes, lifetime_seconds=LIFETIME, binds_address=False
    )
    media = Media(library, addresses, is_revoked)
    settings = runtime.settings.model_copy(update={"cors_origin": "https://player.example"})
    cinema.runtime = with_changes(
        runtime, sources={"media": media}, clock=lambda: cinema.now, settings=settings
    )
    app = build_silent_app(cinema.runtime)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"accept-encoding": "identity"},
    ) as cinema.client:
        yield cinema
    library.close()


@pytest.fixture
async def live(cinema: Cinema) -> AsyncIterator[LiveServer]:
    app = build_silent_app(cinema.runtime)
    async with serve_app(app, cinema.runtime.settings) as server:
        yield server


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text[:300]
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": code}


async def test_a_player_finds_its_way_from_the_first_playlist_to_every_byte(cinema: Cinema) -> None:
    # given the address of the multivariant playlist of a film in two languages
    tracks = [audio_track("audio-1", "English", is_default=True), audio_track("audio-2", "Deutsch")]
    store(cinema.folder, FILM, film(audio=tracks))
    url = "http://test" + cinema.address("master.m3u8")
    master = m3u8.loads((await cinema.client.get(url)).text)
    names = [one.uri for one in (*master.playlists, *master.media)]
    assert names == [
        "360p/index.m3u8",
        "720p/index.m3u8",
        "audio-1/index.m3u8",
        "audio-2/index.m3u8",
        "subtitles/en.m3u8",
        "subtitles/de.m3u8",
    ]
    # when every playlist it names is followed, by relative addresses alone
    fetched = {}
    for name in names:
        below = urljoin(url, name)
        playlist = m3u8.loads((await cinema.client.get(below)).text)
        for one in (*playlist.segment_map, *playlist.segments):
            response = await cinema.client.get(urljoin(below, one.uri))
            assert response.status_code == 200
            fetched[f"{name.split('/')[0]}/{one.uri}"] = response.content
    # then each file came as it lies on disk
    title = await cinema.library.title(FILM)
    assert title is not None
    assert fetched.keys() == title.files
    assert fetched["720p/seg00001.m4s"] == content("720p/seg00001.m4s", 8000)
    assert all(body == (title.folder / path).read_bytes() for path, body in fetched.items())


@pytest.mark.parametrize(
    ("path", "type_", "cached"),
    [
        ("master.m3u8", "application/vnd.apple.mpegurl", "private, max-age=60"),
        ("360p/index.m3u8", "application/vnd.apple.mpegurl", "private, max-age=60"),
        ("subtitles/en.m3u8", "application/vnd.apple.mpegurl", "private, max-age=60"),
        ("360p/init.mp4", "video/mp4", "private, max-age=21600, immutable"),
        ("360p/seg00000.m4s", "video/iso.segment", "private, max-age=21600, immutable"),
        ("subtitles/en.vtt", "text/vtt; charset=utf-8", "private, max-age=21600, immutable"),
    ],
)
async def test_each_kind_has_its_type_and_its_time_in_the_browser(
    cinema: Cinema, path: str, type_: str, cached: str
) -> None:
    response = await cinema.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == type_
    assert response.headers["cache-control"] == cached
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_transport_streams_have_their_type(cinema: Cinema) -> None:
    ts = rendition("360p", init=None, segments=[segment(0, uri="seg0.ts")])
    store(cinema.folder, FILM, film(renditions=[ts]))
    response = await cinema.get("360p/seg0.ts")
    assert (response.status_code, response.headers["content-type"]) == (200, "video/mp2t")


async def test_nothing_is_cached_longer_than_its_address_works(cinema: Cinema) -> None:
    url = cinema.address("360p/init.mp4")
    cinema.now += LIFETIME - 30
    response = await cinema.client.get(url)
    assert response.headers["cache-control"] == "private, max-age=30, immutable"


SIZE = 3000  # of 360p/seg00001.m4s


@pytest.mark.parametrize(
    ("range_header", "first", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        ("bytes=2990-", 2990, SIZE),
        ("bytes=2990-99999", 2990, SIZE),
        ("bytes=-10", 2990, SIZE),
        ("bytes=-99999", 0, SIZE),
        ("bytes=0-0", 0, 1),
        ("BYTES=5-6", 5, 7),
    ],
)
async def test_one_range_is_cut_out(
    cinema: Cinema, range_header: str, first: int, end: int
) -> None:
    response = await cinema.get("360p/seg00001.m4s", range=range_header)
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - first)
    assert response.content == content("360p/seg00001.m4s", SIZE)[first:end]


@pytest.mark.parametrize(
    "range_header", ["bytes=3000-", "bytes=3000-3001", "bytes=-0", "bytes=99999-"]
)
async def test_bytes_that_are_not_there_are_refused(cinema: Cinema, range_header: str) -> None:
    response = await cinema.get("360p/seg00001.m4s", range=range_header)
    refused(response, 416, "VALIDATION_FAILED")
    assert response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "range_header",
    [
        "bytes=0-1,5-6",
        "bytes=",
        "bytes=-",
        "bytes=9-3",
        "lines=1-2",
        "bytes=a-b",
        "bytes=" + "9" * 40,
    ],
)
async def test_a_range_that_says_nothing_gets_the_whole_file(
    cinema: Cinema, range_header: str
) -> None:
    response = await cinema.get("360p/seg00001.m4s", range=range_header)
    assert (response.status_code, len(response.content)) == (200, SIZE)
    assert response.headers["accept-ranges"] == "bytes"


async def test_a_known_file_is_not_sent_again(cinema: Cinema) -> None:
    first = await cinema.get("360p/init.mp4")
    tag, date = first.headers["etag"], first.headers["last-modified"]
    for headers in (
        {"if-none-match": tag},
        {"if-none-match": f'"other", W/{tag}'},
        {"if-none-match": "*"},
        {"if-modified-since": date},
        {"if-none-match": tag, "range": "bytes=0-1"},
    ):
        response = await cinema.client.get(cinema.address("360p/init.mp4"), headers=headers)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == tag
    for headers in (
        {"if-none-match": '"other"'},
        {"if-none-match": '"other"', "if-modified-since": date},
        {"if-modified-since": formatdate(0, usegmt=True)},
        {"if-modified-since": "yesterday"},
    ):
        response = await cinema.client.get(cinema.address("360p/init.mp4"), headers=headers)
        assert response.status_code == 200


async def test_a_known_playlist_is_not_sent_again(cinema: Cinema) -> None:
    tag = (await cinema.get("master.m3u8")).headers["etag"]
    response = await cinema.get("master.m3u8", if_none_match=tag)
    assert (response.status_code, response.content) == (304, b"")
    # and a changed one is
    store(cinema.folder, FILM, film(subtitles=[]))
    assert (await cinema.get("master.m3u8", if_none_match=tag)).status_code == 200


async def test_a_range_of_another_version_is_not_mixed_in(cinema: Cinema) -> None:
    first = await cinema.get("360p/seg00001.m4s")
    for same in (first.headers["etag"], first.headers["last-modified"]):
        response = await cinema.get("360p/seg00001.m4s", range="bytes=0-9", if_range=same)
        assert response.status_code == 206
    for other in ('"other"', "W/" + first.headers["etag"], formatdate(0, usegmt=True)):
        response = await cinema.get("360p/seg00001.m4s", range="bytes=0-9", if_range=other)
        assert (response.status_code, len(response.content)) == (200, SIZE)


@pytest.mark.parametrize("path", ["master.m3u8", "360p/index.m3u8", "360p/seg00001.m4s"])
async def test_head_tells_what_get_would(cinema: Cinema, path: str) -> None:
    url = cinema.address(path)
    got = await cinema.client.get(url)
    head = await cinema.client.head(url, headers={"range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "cache-control"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(cinema: Cinema, method: str) -> None:
    response = await cinema.client.request(method, cinema.address("360p/init.mp4"))
    assert response.status_code == 405
    assert response.json()["errors"][0]["extensions"] == {"code": "VALIDATION_FAILED"}
    assert (await cinema.get("360p/init.mp4")).content == content("360p/init.mp4", 700)


async def test_pictures_are_not_compressed_and_playlists_are(cinema: Cinema) -> None:
    long = rendition("360p", segments=[segment(n) for n in range(500)])
    store(cinema.folder, FILM, film(renditions=[long]))
    playlist = await cinema.get("360p/index.m3u8", accept_encoding="gzip")
    assert playlist.headers["content-encoding"] == "gzip"
    assert len(m3u8.loads(playlist.text).segments) == 500
    for path in ("360p/seg00001.m4s", "360p/init.mp4"):
        response = await cinema.get(path, accept_encoding="gzip, br, zstd")
        assert "content-encoding" not in response.headers


async def test_subtitles_come_compressed_or_in_part(cinema: Cinema) -> None:
    whole = content("subtitles/en.vtt", 950)
    response = await cinema.get("subtitles/en.vtt", accept_encoding="gzip")
    assert response.headers["etag"].startswith('W/"')
    assert response.content == whole
    part = await cinema.get("subtitles/en.vtt", accept_encoding="gzip", range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert "content-encoding" not in part.headers
    assert response.headers["content-encoding"] == "gzip"


async def test_a_player_on_an_allowed_site_may_read_it(cinema: Cinema) -> None:
    response = await cinema.get("360p/init.mp4", origin="https://player.example")
    assert response.headers["access-control-allow-origin"] == "https://player.example"
    exposed = response.headers["access-control-expose-headers"]
    assert {"content-length", "content-range"} <= set(exposed.split(", "))
    # and one on any other as well, but without credentials
    other = await cinema.get("360p/init.mp4", origin="https://elsewhere.example")
    assert other.headers["access-control-allow-origin"] == "*"
    exposed = other.headers["access-control-expose-headers"].lower()
    assert {"content-length", "content-range"} <= set(exposed.split(", "))
    preflight = await cinema.client.options(
        cinema.address("360p/init.mp4"),
        headers={
            "origin": "https://player.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": "range",
        },
    )
    assert preflight.status_code == 200


async def test_an_address_ends_with_its_time(cinema: Cinema) -> None:
    url = cinema.address("master.m3u8")
    cinema.now = NOW + LIFETIME - 1
    assert (await cinema.client.get(url)).status_code == 200
    cinema.now = NOW + LIFETIME
    refused(await cinema.client.get(url), 403, "INVALID_TOKEN")


async def test_a_forged_address_opens_nothing(cinema: Cinema) -> None:
    good = cinema.addresses.sign(FILM, LOGIN, None, NOW).token
    bad = MediaUrlSigner(b"x" * 32, lifetime_seconds=LIFETIME, binds_address=False)
    for token in (bad.sign(FILM, LOGIN, None, NOW).token, good[:-2] + "AA", "x", "é", "a" * 5000):
        for path in ("master.m3u8", "360p/init.mp4", "nowhere"):
            response = await cinema.client.get(f"/media/{quote(token)}/{FILM}/{path}")
            refused(response, 403, "INVALID_TOKEN")
    assert (await cinema.client.get(f"/media/{good}/{FILM}/master.m3u8")).status_code == 200


async def test_an_address_opens_no_other_film(cinema: Cinema) -> None:
    token = cinema.addresses.sign(FILM, LOGIN, None, NOW).token
    for path in ("master.m3u8", "360p/init.mp4"):
        response = await cinema.client.get(f"/media/{token}/{OTHER}/{path}")
        refused(response, 403, "INVALID_TOKEN")


async def test_an_address_is_its_own_sign_ins_only(cinema: Cinema) -> None:
    # given addresses of two sign-ins, and the access token of the first
    authorization = f"Bearer {token_for(cinema.runtime)}"
    own, others = cinema.address("360p/init.mp4"), cinema.address("360p/init.mp4", FILM, "login_2")
    # then the one goes with it and the other does not; alone, either works
    for url, status in ((own, 200), (others, 403)):
        response = await cinema.client.get(url, headers={"authorization": authorization})
        assert response.status_code == status
        assert (await cinema.client.get(url)).status_code == 200
    refused(
        await cinema.client.get(others, headers={"authorization": authorization}), 403, "FORBIDDEN"
    )


async def test_an_access_token_that_ran_out_takes_nothing_away(cinema: Cinema) -> None:
    stale = token_for(cinema.runtime, now=NOW - 86400)
    assert (await cinema.get("360p/init.mp4", authorization=f"Bearer {stale}")).status_code == 200


async def test_the_end_of_a_sign_in_ends_its_addresses(cinema: Cinema) -> None:
    url = cinema.address("360p/seg00001.m4s")
    assert (await cinema.client.get(url)).status_code == 200
    cinema.revoked.add(LOGIN)
    refused(await cinema.client.get(url), 403, "INVALID_TOKEN")
    other = cinema.address("360p/seg00001.m4s", FILM, "login_2")
    assert (await cinema.client.get(other)).status_code == 200


async def test_unknown_parts_and_films_are_not_found(cinema: Cinema) -> None:
    for path in ("nowhere", "360p/seg99999.m4s", "media.json", "360p/", "", "240p/index.m3u8"):
        refused(await cinema.get(path), 404, "NOT_FOUND")
    missing = titles.film_id(3)
    refused(await cinema.client.get(cinema.address("master.m3u8", missing)), 404, "NOT_FOUND")
    (cinema.folder / FILM / "360p" / "init.mp4").unlink()
    refused(await cinema.get("360p/init.mp4"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "360p/%2e%2e/media.json",
        "360p/..%5cmedia.json",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "360p/init.mp4%00.ts",
        "360p/%0ainit.mp4",
        "360p/%ff%fe",
        "360p/" + "a" * 8000,
        "%D7%A9%D7%9C%D7%95%D7%9D",
        "..;/media.json",
    ],
)
async def test_no_path_escapes(cinema: Cinema, live: LiveServer, path: str) -> None:
    # sent as it stands: a client's library would tidy it up
    url = cinema.address(path)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(f"GET {url} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"404"
    assert b"root:" not in body
    assert b'"format"' not in body


async def test_the_log_never_has_an_address(cinema: Cinema) -> None:
    stream = io.BytesIO()
    log = AccessLog(stream)
    app = build_app(cinema.runtime, access_log=log)
    transport = httpx.ASGITransport(app)
    token = cinema.addresses.sign(FILM, LOGIN, None, NOW).token
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in (f"/media/{token}/{FILM}/master.m3u8", f"/media/{token}/{FILM}/nowhere"):
            await client.get(path)
    log.flush()
    lines = stream.getvalue().splitlines()
    assert [b"/media/{token}/{title_id}/{path:path}" in line for line in lines] == [True, True]
    assert token.encode() not in stream.getvalue()


async def test_a_link_out_of_the_folder_is_not_followed(cinema: Cinema, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    file = cinema.folder / FILM / "360p" / "init.mp4"
    file.unlink()
    file.symlink_to(tmp_path / "secret")
    refused(await cinema.get("360p/init.mp4"), 404, "NOT_FOUND")


async def test_a_missing_disk_is_reported_as_such(cinema: Cinema) -> None:
    class Away(MediaLibrary):
        async def titles(self, title_ids: object) -> object:  # type: ignore[override]
            raise UpstreamUnavailable("Films cannot be read just now.")

    away = Away(cinema.folder)
    media = replace(cinema.runtime.sources.media, library=away)
    async with connect_runtime(with_changes(cinema.runtime, sources={"media": media})) as client:
        response = await client.get(cinema.address("master.m3u8"))
    refused(response, 503, "UPSTREAM_UNAVAILABLE")
    assert response.headers["retry-after"] == "5"
    away.close()


BIG = 20 * 1024 * 1024


async def test_a_large_file_arrives_whole_and_leaves_nothing_open(
    cinema: Cinema, live: LiveServer
) -> None:
    # given a file larger than every buffer on the way
    one = rendition("big", segments=[segment(0, 60.0, BIG)])
    store(cinema.folder, FILM, film(renditions=[one]))
    path = "big/seg00000.m4s"
    file = cinema.folder / FILM / path
    # when one client reads it all and another goes away in the middle
    async with live.client() as client:
        whole = await client.get(cinema.address(path))
        async with client.stream("GET", cinema.address(path)) as response:
            async for _ in response.aiter_raw():
                break
    # then the first has it, and the file is closed for both
    assert whole.content == file.read_bytes()
    async with asyncio.timeout(15):
        while is_open(file):
            await asyncio.sleep(0.02)


def is_open(file: Path) -> bool:
    real = file.resolve()
    return any(each.exists() and each.resolve() == real for each in Path("/proc/self/fd").iterdir())
