"""Playlists as text; m3u8 is the second opinion on every one."""

from __future__ import annotations

from typing import Any

import m3u8
import pytest

from services.media import hls
from services.media.manifest import Media, Piece, Rendition, Segment
from tests.support.films_on_disk import audio_track, film, rendition, segment, subtitles

RANGES = [
    segment(0, 4.004, 3000, uri="all.mp4", offset_bytes=700),
    segment(1, 4.004, 2500, uri="all.mp4", offset_bytes=3700),
]
SHAPES = {
    "fmp4": rendition("360p"),
    "ts": rendition(
        "360p", init=None, segments=[segment(n, 2.0, uri=f"seg{n}.ts") for n in range(5)]
    ),
    "ranges": rendition(
        "360p", init=Piece(uri="all.mp4", size_bytes=700, offset_bytes=0), segments=RANGES
    ),
    "ts_ranges": rendition(
        "360p", init=None, segments=[segment(0, 2.0, uri="all.ts", offset_bytes=0)]
    ),
    "one_short_segment": rendition("360p", segments=[segment(0, 0.2, 100)]),
    "long_film": rendition("360p", segments=[segment(n, 4.004, 1000 + n) for n in range(2000)]),
}


def test_a_media_playlist_reads_like_this() -> None:
    assert hls.media_playlist(rendition("360p")) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:4.00000,\n"
        "seg00000.m4s\n"
        "#EXTINF:4.00000,\n"
        "seg00001.m4s\n"
        "#EXTINF:1.50000,\n"
        "seg00002.m4s\n"
        "#EXT-X-ENDLIST\n"
    )


def test_ranges_of_one_file_tell_where_they_begin() -> None:
    text = hls.media_playlist(SHAPES["ranges"])
    assert '#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"\n' in text
    assert "#EXTINF:4.00400,\n#EXT-X-BYTERANGE:2500@3700\nall.mp4\n" in text


def test_the_multivariant_playlist_reads_like_this() -> None:
    # subtitles: 950 bytes in 9.5 s are 800 bits a second, beside every rendition
    assert hls.multivariant_playlist(film()) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",LANGUAGE="en",NAME="English",'
        'DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,URI="subtitles/en.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",LANGUAGE="de",NAME="Deutsch",'
        'DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="subtitles/de.m3u8"\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=6800,AVERAGE-BANDWIDTH=5432,"
        'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000,'
        'SUBTITLES="subtitles"\n'
        "360p/index.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=18800,AVERAGE-BANDWIDTH=15958,"
        'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=25.000,'
        'SUBTITLES="subtitles"\n'
        "720p/index.m3u8\n"
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_m3u8_reads_every_media_playlist_back(shape: str) -> None:
    one = SHAPES[shape]
    text = hls.media_playlist(one)
    read = m3u8.loads(text)
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert (read.is_variant, read.is_endlist, read.playlist_type) == (False, True, "vod")
    assert [part.uri for part in read.segments] == [part.uri for part in one.segments]
    durations = [part.duration_seconds for part in one.segments]
    assert [part.duration for part in read.segments] == pytest.approx(durations, abs=1e-5)
    assert all(round(part.duration) <= read.target_duration for part in read.segments)
    ranges = [
        f"{part.size_bytes}@{part.offset_bytes}" if part.offset_bytes is not None else None
        for part in one.segments
    ]
    assert [part.byterange for part in read.segments] == ranges
    assert [part.uri for part in read.segment_map] == ([one.init.uri] if one.init else [])


def test_m3u8_reads_the_multivariant_playlist_back() -> None:
    text = hls.multivariant_playlist(film())
    read = m3u8.loads(text)
    assert (read.is_variant, read.is_independent_segments) == (True, True)
    assert text.endswith("m3u8\n")
    variants = [
        (
            one.uri,
            one.stream_info.bandwidth,
            one.stream_info.average_bandwidth,
            one.stream_info.resolution,
            one.stream_info.frame_rate,
            one.stream_info.codecs,
            one.stream_info.subtitles,
        )
        for one in read.playlists
    ]
    codecs = "avc1.4d401e,mp4a.40.2"
    assert variants == [
        ("360p/index.m3u8", 6800, 5432, (640, 360), 25.0, codecs, "subtitles"),
        ("720p/index.m3u8", 18800, 15958, (1280, 720), 25.0, codecs, "subtitles"),
    ]
    assert [(one.type, one.language, one.name, one.default, one.uri) for one in read.media] == [
        ("SUBTITLES", "en", "English", "YES", "subtitles/en.m3u8"),
        ("SUBTITLES", "de", "Deutsch", "NO", "subtitles/de.m3u8"),
    ]


def test_m3u8_reads_a_playlist_of_subtitles_back() -> None:
    read = m3u8.loads(hls.subtitles_playlist(subtitles("en", "English")))
    assert [(one.uri, one.duration) for one in read.segments] == [("en.vtt", 9.5)]
    assert (read.version, read.target_duration, read.is_endlist) == (3, 10, True)


def in_two_languages() -> Media:
    tracks = [
        audio_track("audio-1", "English", language="en", is_default=True),
        audio_track("audio-2", "Audio 2"),
    ]
    return film(audio=tracks, subtitles=[])


def test_sound_in_several_languages_is_a_group_beside_every_rendition() -> None:
    # sound: 1600 bits a second in its heavier segment, 1432 on average
    assert hls.multivariant_playlist(in_two_languages()) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",LANGUAGE="en",NAME="English",'
        'DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio-1/index.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio 2",'
        'DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="audio-2/index.m3u8"\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=7600,AVERAGE-BANDWIDTH=6064,"
        'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="audio"\n'
        "360p/index.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=19600,AVERAGE-BANDWIDTH=16590,"
        'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO="audio"\n'
        "720p/index.m3u8\n"
    )


def test_m3u8_reads_sound_in_several_languages_back() -> None:
    media = in_two_languages()
    read = m3u8.loads(hls.multivariant_playlist(media))
    assert [(one.type, one.language, one.name, one.default, one.uri) for one in read.media] == [
        ("AUDIO", "en", "English", "YES", "audio-1/index.m3u8"),
        ("AUDIO", None, "Audio 2", "NO", "audio-2/index.m3u8"),
    ]
    assert [one.stream_info.audio for one in read.playlists] == ["audio", "audio"]
    track = m3u8.loads(hls.media_playlist(media.audio[0]))
    assert [(one.uri, one.duration) for one in track.segments] == [
        ("seg00000.m4s", 5.0),
        ("seg00001.m4s", 4.5),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"name": "audio-1"}, {"name": "audio-1"}),
        ({"name": "360p"}, {}),
        ({"label": "English"}, {"label": "English"}),
        ({"is_default": True}, {"is_default": True}),
    ],
)
def test_sound_that_cannot_be_told_apart_is_refused(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    tracks = [
        audio_track(**{"name": "audio-1", "label": "A", **first}),
        audio_track(**{"name": "audio-2", "label": "B", **second}),
    ]
    with pytest.raises(ValueError, match=r"each there once|the default"):
        film(audio=tracks)


def test_a_film_without_subtitles_names_no_group() -> None:
    text = hls.multivariant_playlist(film(subtitles=[]))
    assert "SUBTITLES" not in text
    assert "BANDWIDTH=6000,AVERAGE-BANDWIDTH=4632," in text


@pytest.mark.parametrize(
    ("shape", "version"), [("fmp4", 6), ("ts", 3), ("ranges", 6), ("ts_ranges", 4)]
)
def test_the_version_is_the_lowest_that_has_every_tag_used(shape: str, version: int) -> None:
    one = SHAPES[shape]
    assert m3u8.loads(hls.media_playlist(one)).version == version
    bare = Media(duration_seconds=1, renditions=[one])
    assert m3u8.loads(hls.multivariant_playlist(bare)).version == version
    with_text = Media(duration_seconds=1, renditions=[one], subtitles=[subtitles("en", "English")])
    assert m3u8.loads(hls.multivariant_playlist(with_text)).version == max(4, version)


@pytest.mark.parametrize(
    ("seconds", "target"),
    [([4.0], 4), ([4.004, 4.004], 4), ([4.5, 2.0], 5), ([4.49], 4), ([0.2], 1), ([6.5], 7)],
)
def test_the_target_is_the_longest_segment_rounded(seconds: list[float], target: int) -> None:
    segments = [segment(number, one) for number, one in enumerate(seconds)]
    assert hls.target_seconds(segments) == target


def _segments(*parts: tuple[float, int]) -> list[Segment]:
    return [segment(number, seconds, size) for number, (seconds, size) in enumerate(parts)]


@pytest.mark.parametrize(
    ("segments", "peak", "average"),
    [
        pytest.param(_segments((4, 1000), (4, 3000)), 6000, 4000, id="the heaviest segment"),
        pytest.param(_segments((4, 1000), (0.5, 9000)), 17778, 17778, id="a crumb alone is no run"),
        pytest.param(_segments((2, 2000), (2, 2000), (6, 600)), 8000, 3680, id="runs of segments"),
        pytest.param(_segments((0.2, 100)), 4000, 4000, id="too short for a run: the mean"),
    ],
)
def test_bit_rates_are_measured_from_the_segments(
    segments: list[Segment], peak: int, average: int
) -> None:
    assert hls.peak_bits_per_second(segments) == peak
    assert hls.average_bits_per_second(segments) == average


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('Director\'s "cut"', "Director's ”cut”"),
        ("two\nlines\r\x00", "two lines"),
        ("a, b=c", "a, b=c"),
        ("日本語 #EXTINF", "日本語 #EXTINF"),
    ],
)
def test_names_cannot_break_out_of_their_quotes(name: str, shown: str) -> None:
    text = hls.multivariant_playlist(film(subtitles=[subtitles("ja", name)]))
    read = m3u8.loads(text)
    assert [one.name.strip() for one in read.media] == [shown]
    assert len(read.playlists) == 2
    assert len(text.splitlines()) == 8


def test_renditions_come_lightest_first_whatever_the_order_of_the_index() -> None:
    sizes: dict[str, Any] = {"a": 5000, "b": 1000, "c": 3000}
    renditions: list[Rendition] = [
        rendition(name, segments=[segment(0, 4.0, size)]) for name, size in sizes.items()
    ]
    read = m3u8.loads(hls.multivariant_playlist(film(renditions=renditions)))
    assert [one.uri for one in read.playlists] == [
        "b/index.m3u8",
        "c/index.m3u8",
        "a/index.m3u8",
    ]
