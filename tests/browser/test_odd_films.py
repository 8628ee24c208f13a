"""Odd films, taken in and played to their end by hls.js in headless Chromium.

All are made, taken in and played once for the whole file; each test looks at one of them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.media import ffmpeg
from services.media.errors import IngestRefused
from services.media.ingest import Encoder, Ingested, ingest, probe_film
from services.media.inspection.interlacing import detect_interlacing
from services.media.ladder import SegmentType
from services.media.video_source import Deinterlacing
from tests.browser.odd_films import ODD_FILMS, make_film, picture, tone
from tests.support.browser import watch
from tests.support.fake_provider import free_port
from tests.support.media import FFMPEG
from tests.support.processes import Process, Served

ENCODER = Encoder(FFMPEG, preset="ultrafast")
FILMS = f"{{ movies(first: {len(ODD_FILMS)}) {{ nodes {{ id }} }} }}"
AT_ONCE = 2
ROUNDING = 0.1  # seconds: a picture or two, and the encoder's delay of sound


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd-films")


@pytest.fixture(scope="module")
async def taken_in(folder: Path) -> dict[str, Ingested]:
    """Every odd film in the library, by its name in the table."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def take_in(number: int, name: str) -> Ingested:
        film = ODD_FILMS[name]
        async with slots:
            file = await make_film(folder / "films" / str(number), film)
            texts = {language: file.with_name(f"{language}.txt") for language in film.files}
            probed = await probe_film(ENCODER, file, texts, SegmentType.FMP4)
            return await ingest(ENCODER, probed, home_of(folder, name))

    names = list(ODD_FILMS)
    made = await asyncio.gather(*(take_in(*pair) for pair in enumerate(names)))
    return dict(zip(names, made, strict=True))


@pytest.fixture(scope="module")
async def played(
    chromium: str, packages: None, folder: Path, taken_in: dict[str, Ingested]
) -> dict[str, Any]:
    """What a player saw of every film, by its name in the table."""
    page_port = free_port()
    async with development_server(folder, page_port) as (api, title_ids):
        for name, title_id in zip(ODD_FILMS, title_ids, strict=True):
            shutil.copytree(home_of(folder, name), folder / "data" / "media" / title_id)
        films = [{"title": title_id, "to_its_end": True} for title_id in title_ids]
        reports, complaints = await watch(chromium, page_port, api, films)
    assert complaints == []
    return dict(zip(ODD_FILMS, reports, strict=True))


@asynccontextmanager
async def development_server(folder: Path, page_port: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A server with the demo's titles; yields its address and the ids of as many as are needed."""
    port = free_port()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "CORS_ORIGIN": f"http://127.0.0.1:{page_port}",
        "DEMO_CLIP": "false",
    }
    with Process(folder / "server", "dev", environment=environment) as server:
        await server.says("Marquee is running.")
        async with Served(port) as served:
            _, body = await served.graphql(FILMS)
        yield f"http://127.0.0.1:{port}", [one["id"] for one in body["data"]["movies"]["nodes"]]


def home_of(folder: Path, name: str) -> Path:
    return folder / "library" / f"movie_{list(ODD_FILMS).index(name)}"


@pytest.mark.parametrize("name", ODD_FILMS)
async def test_an_odd_film_is_kept_as_it_is(taken_in: dict[str, Ingested], name: str) -> None:
    film, media = ODD_FILMS[name], taken_in[name].media
    assert media.duration_seconds == pytest.approx(film.seconds, abs=ROUNDING)
    assert tuple(f"{one.width}x{one.height}" for one in media.renditions) == film.sizes
    rates = {one.frame_rate for one in media.renditions}
    assert rates == {round(float(film.rate), 3)}
    # and sound lasts as long as the picture
    assert tuple(one.language for one in media.audio) == film.audio
    assert [one.is_default for one in media.audio] == [True, False][: len(media.audio)]
    for track in media.tracks:
        seconds = sum(segment.duration_seconds for segment in track.segments)
        assert seconds == pytest.approx(film.seconds, abs=ROUNDING)
    assert all(("mp4a" in one.codecs) != film.is_silent for one in media.renditions)
    assert [one.language for one in media.subtitles] == list(film.subtitles)


@pytest.mark.parametrize("name", ODD_FILMS)
async def test_an_odd_film_plays_to_its_end_in_chromium(played: dict[str, Any], name: str) -> None:
    film, report = ODD_FILMS[name], played[name]
    assert "error" not in report, report
    # once for each language, and to the end of the whole
    assert report["ends"] == [pytest.approx(film.seconds, abs=ROUNDING)] * max(1, len(film.audio))
    assert report["duration"] == pytest.approx(film.seconds, abs=ROUNDING)
    assert {f"{width}x{height}" for width, height in report["levels"]} == set(film.sizes)
    assert tuple(language for language, _, _ in report["audio"]) == film.audio
    assert report["subtitles"] == film.subtitles


@pytest.mark.parametrize("name", ["interlaced", "interlaced, and not flagged"])
async def test_combed_pictures_are_whole_afterwards(
    folder: Path, taken_in: dict[str, Ingested], name: str
) -> None:
    number, film = list(ODD_FILMS).index(name), ODD_FILMS[name]
    before = folder / "films" / str(number) / film.file
    assert await detect_interlacing(FFMPEG, before, "0:0", 2) is Deinterlacing.ALL_TOP_FIRST
    after = rendition_file(folder, name, taken_in[name].media.renditions[0].name)
    assert await detect_interlacing(FFMPEG, after, "0:0", 2) is Deinterlacing.FLAGGED


@pytest.mark.parametrize(("name", "least"), [("HDR by PQ", 150), ("HDR by HLG", 120)])
async def test_hdr_becomes_the_light_and_the_colours_of_sdr(
    folder: Path, taken_in: dict[str, Ingested], name: str, least: float
) -> None:
    after = rendition_file(folder, name, "360p")
    text = await ffmpeg.describe(FFMPEG, after)
    assert "yuv420p(tv, bt709" in text
    assert not re.search("smpte2084|arib-std-b67|bt2020|Mastering", text)
    # middle grey of HDR: 92 cd/m2 by PQ, some 50 by HLG; unmapped it would stay at 126
    light = await mean_light(after)
    assert least < light < 200
    assert abs(light - 126) > 3
    assert taken_in[name].notes == [f"the picture is mapped from {name[-3:].split()[-1]} to SDR"]


async def test_the_default_sound_is_no_commentary(
    folder: Path, taken_in: dict[str, Ingested]
) -> None:
    name = "a commentary first, then two languages"
    first, second = taken_in[name].media.audio
    assert (first.label, second.label) == ("English", "Deutsch")
    assert await mean_frequency(rendition_file(folder, name, first.name)) == pytest.approx(600, 0.1)
    # and what is left out is told
    (note,) = taken_in[name].notes
    assert note == "sound 0:1 (en) is left out: a commentary or description"


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("film.mp4", ("-movflags", "+faststart")),
        ("film.mov", ("-movflags", "+frag_keyframe+empty_moov", "-g", "5")),
        ("film.mkv", ()),
        ("film.avi", ()),
        ("film.flv", ()),
        ("live.mkv", ("-live", "1")),
    ],
)
async def test_half_of_a_film_is_refused(
    tmp_path: Path, file: str, options: tuple[str, ...]
) -> None:
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
    drawn = [*picture(seconds=3), *tone(3), *codecs, *options, file]
    await ffmpeg.run(FFMPEG, drawn, folder=tmp_path)
    whole = tmp_path / file
    assert (await probe_film(ENCODER, whole, {}, SegmentType.FMP4)).source.duration_seconds > 2.9
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(IngestRefused, match="it is damaged"):
        await probe_film(ENCODER, whole, {}, SegmentType.FMP4)


def rendition_file(folder: Path, title: str, name: str) -> Path:
    """Header and segments of a rendition as one file."""
    home = home_of(folder, title) / name
    file = folder / f"{home.parent.name}-{name}.mp4"
    pieces = [home / "init.mp4", *sorted(home.glob("*.m4s"))]
    file.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return file


async def mean_light(file: Path) -> float:
    report = "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"
    return (await measured(file, "-vf", report, rb"YAVG=([\d.]+)"))[-1]


async def mean_frequency(file: Path) -> float:
    key = "lavfi.astats.1.Zero_crossings_rate"
    report = f"astats=metadata=1:reset=0,ametadata=print:key={key}:file=-"
    rates = await measured(file, "-af", report, rb"Zero_crossings_rate=([\d.]+)")
    return rates[-1] * 48_000 / 2


async def measured(file: Path, kind: str, filters: str, pattern: bytes) -> list[float]:
    lines: list[bytes] = []
    arguments = [*ffmpeg.input_arguments(file), kind, filters, "-f", "null", "-"]
    await ffmpeg.read(FFMPEG, ["-loglevel", "error", *arguments], lines.extend)
    return [float(match[1]) for line in lines if (match := re.search(pattern, line))]
