"""Films become folders of the library: whole or not at all."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import m3u8
import pytest

from services.media import ffmpeg, hls, ladder
from services.media.errors import IngestRefused
from services.media.ingest import Encoder, Film, ingest, probe_film
from services.media.ladder import SegmentType
from services.media.library import INDEX, Media, MediaLibrary, Rendition
from services.media.video_source import VideoSource
from tests.support.media import FFMPEG, make_clip
from tests.support.processes import until

ENCODER = Encoder(FFMPEG, preset="ultrafast")
TITLE = "movie_1"


async def ingest_film(
    library: Path,
    film: Path,
    subtitles: dict[str, Path] | None = None,
    segments: SegmentType = SegmentType.FMP4,
    *,
    replaces: bool = False,
) -> Media:
    made = await probe_film(ENCODER, film, subtitles or {}, segments)
    return (await ingest(ENCODER, made, library / TITLE, replaces=replaces)).media


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


async def read_back(library: Path) -> Media:
    """As the API finds it; the library takes nothing on trust."""
    reader = MediaLibrary(library)
    try:
        title = await reader.title(TITLE)
    finally:
        reader.close()
    assert title is not None
    return title.media


async def key_frames(rendition: Rendition, folder: Path) -> list[bool]:
    """Of each segment by itself: is its first picture a key frame?"""
    begins = []
    for segment in rendition.segments:
        head = (folder / rendition.init.uri).read_bytes() if rendition.init else b""
        single, listing = folder / "alone", folder / "told"
        single.write_bytes(head + (folder / segment.uri).read_bytes())
        first = ["-map", "0:v", "-c", "copy", "-copyinkf", "-frames:v", "1", "-f", "framecrc"]
        await ffmpeg.run(
            FFMPEG, [*ffmpeg.input_arguments(single), *first, str(listing)], folder=folder
        )
        begins.append("F=0x0" not in listing.read_text())  # framecrc's mark of all other frames
    return begins


@pytest.mark.parametrize("kind", list(SegmentType))
async def test_a_film_in_two_qualities_cuts_both_at_the_same_instants(
    tmp_path: Path, kind: SegmentType
) -> None:
    # given 9 s of film as large as the second lowest rung, at an uneven rate
    film = await make_clip(tmp_path / "film.mp4", size="854x480", seconds=9, rate="30000/1001")
    # when it is taken in
    media = await ingest_film(tmp_path / "library", film, segments=kind)
    # then the library reads what was told, and nothing else lies there
    folder = tmp_path / "library" / TITLE
    assert await read_back(tmp_path / "library") == media
    pieces = [f"{r.name}/{p.uri}" for r in media.renditions for p in (*r.segments, r.init) if p]
    assert sorted(everything(folder)) == sorted([INDEX, *pieces])
    # and both qualities have pictures of the same length, each beginning with a key frame
    assert [f"{r.name} {r.width}x{r.height}" for r in media.renditions] == [
        "480p 854x480",
        "360p 640x360",
    ]
    for rendition in media.renditions:
        lengths = [segment.duration_seconds for segment in rendition.segments]
        assert lengths == [pytest.approx(4.004, abs=0.002)] * 2 + [pytest.approx(1, abs=0.1)]
        assert rendition.frame_rate == 29.97
        assert (rendition.init is None) == (kind is SegmentType.TS)
        sizes = [(folder / rendition.name / s.uri).stat().st_size for s in rendition.segments]
        assert [segment.size_bytes for segment in rendition.segments] == sizes
    assert media.duration_seconds == pytest.approx(9, abs=0.1)


async def test_the_playlists_of_a_film_parse_and_keep_the_ladders_bandwidth(
    tmp_path: Path,
) -> None:
    film = await make_clip(tmp_path / "film.mp4", size="1280x720", seconds=9)
    media = await ingest_film(tmp_path / "library", film)
    # when its playlists are read by somebody else's parser
    master = m3u8.loads(hls.multivariant_playlist(media))
    variants = {one.stream_info.resolution: one.stream_info for one in master.playlists}
    # then each rung keeps below its bandwidth, and uses most of it
    for rung in ladder.LADDER[1:]:
        variant = variants[(rung.width, rung.height)]
        assert 0.6 * rung.bits_per_second < variant.bandwidth <= rung.bits_per_second
        assert variant.average_bandwidth <= variant.bandwidth
        assert variant.frame_rate == 30
        # what players are told is what the pictures' own header says
        assert variant.codecs.startswith("avc1.42C0")  # x264's ultrafast needs no more
        assert variant.codecs.endswith(",mp4a.40.2")
    for rendition in media.renditions:
        playlist = m3u8.loads(hls.media_playlist(rendition))
        assert [segment.uri for segment in playlist.segments] == [
            "seg00000.m4s",
            "seg00001.m4s",
            "seg00002.m4s",
        ]
        assert playlist.is_endlist


async def test_every_segment_begins_with_a_key_frame(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=9)
    for kind in SegmentType:
        media = await ingest_film(tmp_path / "library", film, segments=kind, replaces=True)
        (only,) = media.renditions
        folder = tmp_path / "library" / TITLE / only.name
        assert await key_frames(only, folder) == [True, True, True]


async def test_a_silent_upright_film(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mkv", size="360x640", has_audio=False)
    (only,) = (await ingest_film(tmp_path / "library", film)).renditions
    assert (only.width, only.height, only.audio_bitrate) == (360, 640, 0)
    assert "mp4a" not in only.codecs


@pytest.mark.parametrize("rate", ["24", "25", "60", "varies"])
async def test_frame_rates(tmp_path: Path, rate: str) -> None:
    extra = ("-vf", "select='gt(t,1)+not(mod(n,2))'", "-fps_mode", "vfr")
    film = await make_clip(
        tmp_path / "film.mkv",
        size="320x180",
        seconds=5,
        rate="30" if rate == "varies" else rate,
        extra=extra if rate == "varies" else (),
    )
    (only,) = (await ingest_film(tmp_path / "library", film)).renditions
    if rate != "varies":
        assert only.frame_rate == float(rate)
    lengths = [segment.duration_seconds for segment in only.segments]
    assert lengths == [pytest.approx(4, abs=0.1), pytest.approx(1, abs=0.15)]


async def test_subtitles_become_webvtt(tmp_path: Path) -> None:
    # given WebVTT with the mark that some editors set, and SRT
    film = await make_clip(tmp_path / "film.mp4")
    vtt, srt = tmp_path / "a.vtt", tmp_path / "b.srt"
    vtt.write_text("\ufeffWEBVTT\n\n00:00.000 --> 00:01.000\nGrüß Gott\n", encoding="utf-8")
    srt.write_text("1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\n", encoding="utf-8")
    # when both come with a film
    media = await ingest_film(tmp_path / "library", film, {"de": vtt, "pt-BR": srt})
    # then the first is the default, and both are WebVTT
    tracks = [(one.language, one.name, one.is_default) for one in media.subtitles]
    assert tracks == [("de", "Deutsch", True), ("pt-BR", "Português", False)]
    folder = tmp_path / "library" / TITLE / "subtitles"
    assert (folder / "de.vtt").read_bytes() == vtt.read_bytes()
    assert (folder / "pt-BR.vtt").read_text() == (
        "WEBVTT\n\n00:01.000 --> 00:02.500\nHello <i>there</i>\n"
    )
    assert await read_back(tmp_path / "library") == media


async def test_two_countries_of_one_language_are_two_tracks(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    text = tmp_path / "text.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:00,500\nOi\n")
    files = {"pt-br": text, "PT-pt": text, "pt": text}
    media = await ingest_film(tmp_path / "library", film, files)
    assert [(one.language, one.name) for one in media.subtitles] == [
        ("pt-BR", "Português (BR)"),
        ("pt-PT", "Português (PT)"),
        ("pt", "Português"),
    ]
    assert await read_back(tmp_path / "library") == media


async def test_one_language_twice_is_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    text = tmp_path / "text.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:00,500\nHi\n")
    with pytest.raises(IngestRefused, match="Subtitles name en twice"):
        await ingest_film(tmp_path / "library", film, {"en": text, "EN": text})
    assert list((tmp_path / "library").iterdir()) == []


async def test_a_files_own_subtitles_come_after_those_that_are_handed_in(tmp_path: Path) -> None:
    # given a film with English and German inside, and another English beside it
    text, other = tmp_path / "inside.srt", tmp_path / "beside.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:00,500\nInside\n")
    other.write_text("1\n00:00:00,000 --> 00:00:00,500\nBeside\n")
    drawn = await make_clip(tmp_path / "drawn.mp4", seconds=1)
    film = tmp_path / "film.mkv"
    texts = ["-i", str(text), "-i", str(text), "-map", "0", "-map", "1", "-map", "2", "-c", "copy"]
    languages = ["-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=deu"]
    await ffmpeg.run(FFMPEG, ["-i", str(drawn), *texts, *languages, str(film)], folder=tmp_path)
    # when it is taken in
    made = await probe_film(ENCODER, film, {"en": other}, SegmentType.FMP4)
    ingested = await ingest(ENCODER, made, tmp_path / "library" / TITLE)
    # then each language is there once, and what is left out is told
    folder = tmp_path / "library" / TITLE / "subtitles"
    tracks = [(one.language, one.is_default) for one in ingested.media.subtitles]
    assert tracks == [("en", True), ("de", False)]
    assert "Beside" in (folder / "en.vtt").read_text()
    assert "Inside" in (folder / "de.vtt").read_text()
    assert ingested.notes == ["subtitles 0:2 (en) are left out: others were handed in"]


@pytest.mark.parametrize(
    ("language", "content", "message"),
    [
        ("en", b"no subtitles", "neither WebVTT nor SRT"),
        ("en", b"", "neither WebVTT nor SRT"),
        ("en", b"WEBVTT\n\xff\xfe", "not text in UTF-8"),
        ("en", b"WEBVTT" + b"\n" * 5_000_001, "larger than 5 MB"),
        ("en", None, "cannot be read: No such file"),
        ("../en", b"WEBVTT\n", "is not a language"),
    ],
)
async def test_unusable_subtitles_are_reported_before_anything_is_encoded(
    tmp_path: Path, language: str, content: bytes | None, message: str
) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    if content is not None:
        (tmp_path / "sub").write_bytes(content)
    with pytest.raises(IngestRefused, match=message):
        await ingest_film(tmp_path / "library", film, {language: tmp_path / "sub"})
    assert list((tmp_path / "library").iterdir()) == []


async def test_existing_files_are_replaced_only_by_option(tmp_path: Path) -> None:
    library = tmp_path / "library"
    first = await make_clip(tmp_path / "first.mp4", seconds=1)
    second = await make_clip(tmp_path / "second.mp4", seconds=2)
    await ingest_film(library, first)
    before = everything(library / TITLE)
    # when another film comes without a word, then nothing changes
    with pytest.raises(IngestRefused, match="movie_1 is in the library already: --force"):
        await ingest_film(library, second)
    assert everything(library / TITLE) == before
    # when it comes with force but cannot be read to its end, neither
    broken = Film(
        (await probe_film(ENCODER, second, {}, SegmentType.FMP4)).source, ["-i", "nothing"]
    )
    with pytest.raises(ffmpeg.FfmpegFailed):
        await ingest(ENCODER, broken, library / TITLE, replaces=True)
    assert everything(library / TITLE) == before
    # and then it takes the place, and nothing is left of the first
    media = await ingest_film(library, second, replaces=True)
    assert await read_back(library) == media
    assert media.duration_seconds == pytest.approx(2, abs=0.1)
    assert [each.name for each in library.iterdir()] == [TITLE]


async def test_a_film_cut_short_is_not_taken(tmp_path: Path) -> None:
    # given a file that ends in the midst, whose head still promises 20 s
    film = await make_clip(tmp_path / "film.mkv", size="640x360", seconds=20)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size // 3])
    # when it is taken in, then it is told, and nothing is there
    with pytest.raises(IngestRefused, match="of 20 s could be read: it is damaged"):
        await ingest_film(tmp_path / "library", cut)
    assert not (tmp_path / "library").exists()


async def test_a_film_for_which_there_is_no_room_is_refused_at_once(tmp_path: Path) -> None:
    source = VideoSource(1920, 1080, Fraction(25), 1e12)
    with pytest.raises(IngestRefused, match="MB free and this film may need 1250000000000 MB"):
        await ingest(ENCODER, Film(source, []), tmp_path / "library" / TITLE)
    assert list((tmp_path / "library").iterdir()) == []


async def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", size="640x360", seconds=4)
    with at_most_written(50_000), pytest.raises(ffmpeg.FfmpegFailed) as failed:
        await ingest_film(tmp_path / "library", film)
    assert str(failed.value) in (
        "The disk is full.",
        f"ffmpeg was ended by signal {signal.SIGXFSZ.value}.",
    )
    assert list((tmp_path / "library").iterdir()) == []


@pytest.mark.parametrize("kind", list(SegmentType))
@pytest.mark.parametrize("lost", ["-s -1000", "-s 0"])
async def test_a_segment_that_ends_early_is_noticed(
    tmp_path: Path, kind: SegmentType, lost: str
) -> None:
    # given an ffmpeg that does not notice that the disk was full for a moment, as the real one
    program = tmp_path / "ffmpeg"
    cut = f"[ ! -d 360p ] || truncate {lost} 360p/seg00001.*"
    program.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" && {{ {cut}; }}\n')
    program.chmod(0o755)
    film = await make_clip(tmp_path / "film.mp4", seconds=9)
    encoder = Encoder(program, preset="ultrafast")
    made = await probe_film(ENCODER, film, {}, kind)
    # when it makes a film
    with pytest.raises(IngestRefused, match="could not be written to its end: the disk is full"):
        await ingest(encoder, made, tmp_path / "library" / TITLE)
    # then it is not taken
    assert list((tmp_path / "library").iterdir()) == []


async def test_a_library_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    (tmp_path / "library").write_text("")
    with pytest.raises(IngestRefused, match=r"library cannot be written: "):
        await ingest_film(tmp_path / "library", film)


async def test_who_stops_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    # given a film on its way in
    film = await make_clip(tmp_path / "film.mp4", size="640x360", seconds=20)
    slow = Encoder(FFMPEG, preset="veryslow")
    made = await probe_film(slow, film, {}, SegmentType.FMP4)
    library = tmp_path / "library"
    task = asyncio.create_task(ingest(slow, made, library / TITLE))
    await until(lambda: library.exists() and [*library.glob(".ingest-*/360p/*")])
    # when nobody waits any more
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # then nothing of it is there
    assert list(library.iterdir()) == []


async def test_what_killed_runs_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    library = tmp_path / "library"
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    # given half a folder, a title put aside for a new one that never came, and one that did
    await ingest_film(library, film)
    shutil.copytree(library / TITLE, library / ".replaced-movie_2")
    shutil.copytree(library / TITLE, library / ".replaced-movie_1")
    (library / ".ingest-left" / "360p").mkdir(parents=True)
    # when the next film comes
    await ingest(
        ENCODER, await probe_film(ENCODER, film, {}, SegmentType.FMP4), library / "movie_3"
    )
    # then the old title is back, and the rest is gone
    assert sorted(each.name for each in library.iterdir()) == ["movie_1", "movie_2", "movie_3"]
    assert everything(library / "movie_2") == everything(library / "movie_1")


async def test_two_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    library = tmp_path / "library"
    film = await make_clip(tmp_path / "film.mp4", seconds=2)
    made = await probe_film(ENCODER, film, {}, SegmentType.FMP4)
    await asyncio.gather(*(ingest(ENCODER, made, library / f"movie_{n}") for n in range(3)))
    assert sorted(each.name for each in library.iterdir()) == ["movie_0", "movie_1", "movie_2"]


async def test_how_far_it_is_grows_to_the_whole(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=2)
    steps: list[tuple[float, float]] = []
    made = await probe_film(ENCODER, film, {}, SegmentType.FMP4)
    await ingest(ENCODER, made, tmp_path / TITLE, progress=lambda *far: steps.append(far))
    assert all(first <= second for first, second in itertools.pairwise(steps))
    assert steps[-1] == (pytest.approx(2, abs=0.3), 2.0)


async def test_the_index_is_readable_by_others(tmp_path: Path) -> None:
    # given a server that runs as another user than who took the film in
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    await ingest_film(tmp_path / "library", film)
    folder = tmp_path / "library" / TITLE
    assert folder.stat().st_mode & 0o777 == 0o755
    assert json.loads((folder / INDEX).read_text())["format"] == 1


@contextmanager
def at_most_written(size_bytes: int) -> Iterator[None]:
    """No file of ours or of our children may grow beyond this: the nearest to a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
