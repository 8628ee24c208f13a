"""Which streams of a file are the film, its sound and its subtitles."""

from __future__ import annotations

import pytest

from services.media.errors import IngestRefused
from services.media.inspection.audio_tracks import choose_audio
from services.media.inspection.description import StreamDescription, parse_description
from services.media.inspection.embedded_subtitles import choose_subtitles
from services.media.inspection.packets import StreamPackets
from services.media.inspection.pictures import choose_picture, read_dynamic_range
from services.media.video_source import DynamicRange


def stream(line: str, title: str = "") -> StreamDescription:
    """A stream as ffmpeg describes it: `0:1(eng): Audio: aac`."""
    details = f"    Metadata:\n      title           : {title}\n" if title else ""
    (one,) = parse_description(f"  Stream #{line}\n{details}").streams
    return one


def packets(count: int, seconds: float) -> StreamPackets:
    read = StreamPackets(last_seconds=seconds / count)
    read.times.extend(number * seconds / count for number in range(count))
    return read


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        # a commentary with the default flag is none
        (["0:1(eng): Audio: aac (default)|Commentary", "0:2(eng): Audio: aac"], ["0:2"]),
        (["0:1(eng): Audio: aac (comment)", "0:2(ger): Audio: aac"], ["0:2"]),
        (["0:1: Audio: aac (visual impaired) (default)", "0:2: Audio: aac"], ["0:2"]),
        (["0:1(deu): Audio: aac|Audiokommentar", "0:2(deu): Audio: ac3"], ["0:2"]),
        # the author's default comes first, then each further language once
        (["0:1(ger): Audio: aac", "0:2(eng): Audio: aac (default)"], ["0:2", "0:1"]),
        (["0:1(ger): Audio: dts (default)", "0:2(deu): Audio: aac", "0:3(fre): Audio: aac"],
         ["0:1", "0:3"]),
        # unknown languages cannot be told apart
        (["0:1: Audio: aac", "0:2(und): Audio: aac"], ["0:1", "0:2"]),
        # nothing but a commentary is better than silence
        (["0:1(eng): Audio: aac (comment)"], ["0:1"]),
        ([], []),
    ],
)  # fmt: skip
def test_the_sound_of_a_film(lines: list[str], chosen: list[str]) -> None:
    streams = [stream(*line.split("|")) for line in lines]
    tracks, notes = choose_audio(streams)
    assert [track.stream for track in tracks] == chosen
    assert len(notes) == len(lines) - len(chosen)


def test_sound_without_packets_is_none() -> None:
    tracks, notes = choose_audio([stream("0:1: Audio: aac"), stream("0:2: Audio: aac")], ["0:1"])
    assert [track.stream for track in tracks] == ["0:2"]
    assert notes == ["sound 0:1 (und) is left out: it is empty"]


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["0:2(eng): Subtitle: subrip (forced)", "0:3(eng): Subtitle: ass"], ["0:3"]),
        (["0:2(eng): Subtitle: subrip (forced)"], ["0:2"]),
        (
            ["0:2(eng): Subtitle: mov_text (hearing impaired)", "0:3(eng): Subtitle: webvtt"],
            ["0:3"],
        ),
        (["0:2(eng): Subtitle: hdmv_pgs_subtitle", "0:3(ger): Subtitle: subrip"], ["0:3"]),
        (["0:2(pt-BR): Subtitle: subrip", "0:3(pt-PT): Subtitle: subrip"], ["0:2", "0:3"]),
    ],
)
def test_the_subtitles_of_a_film(lines: list[str], chosen: list[str]) -> None:
    tracks, notes = choose_subtitles([stream(line) for line in lines])
    assert [track.stream for track in tracks] == chosen
    assert len(notes) == len(lines) - len(chosen)


FILM = "0:1: Video: h264, yuv420p, 1280x720, 24 fps"


@pytest.mark.parametrize(
    ("other", "count", "seconds"),
    [
        ("0:0: Video: mjpeg, yuvj444p, 3000x3000, 90k tbr (default)", 1, 0.04),
        ("0:0: Video: mjpeg, yuvj444p, 3000x3000, 1 fps (default)", 120, 120),
        ("0:0: Video: h264, yuv420p, 1920x1080, 25 fps (default)", 750, 30),
        ("0:0: Video: h264, yuv420p, 640x360, 24 fps", 2880, 120),
    ],
    ids=["a cover", "slides", "a trailer", "a smaller one"],
)
def test_the_picture_of_a_film(other: str, count: int, seconds: float) -> None:
    read = {"0:0": packets(count, seconds), "0:1": packets(2880, 120)}
    assert choose_picture([stream(other), stream(FILM)], read, "film.mkv").name == "0:1"


def test_slides_alone_are_a_film() -> None:
    slides = stream("0:0: Video: h264, yuv420p, 1280x720, 0.5 fps")
    assert choose_picture([slides], {"0:0": packets(60, 120)}, "film.mkv") is slides


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ("yuv420p(tv, bt709, progressive)", DynamicRange.SDR),
        ("yuv420p", DynamicRange.SDR),
        ("yuv420p10le(tv, bt2020nc/bt2020/smpte2084)", DynamicRange.PQ),
        ("yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67)", DynamicRange.HLG),
        ("yuv420p10le(tv, bt2020nc/bt2020/bt2020-10)", DynamicRange.WIDE),
    ],
)
def test_the_light_of_a_film(colours: str, expected: DynamicRange) -> None:
    picture = stream(f"0:0: Video: hevc (Main 10), {colours}, 3840x2160, 24 fps")
    assert read_dynamic_range(picture, "film.mkv") is expected


def test_dolby_vision_that_nothing_else_shows_is_refused() -> None:
    record = "DOVI configuration record: version: 1.0, profile: 5, level: 6, rpu flag: 1"
    described = f"  Stream #0:0: Video: hevc, yuv420p10le(tv), 3840x2160, 24 fps\n      {record}\n"
    (picture,) = parse_description(described).streams
    with pytest.raises(IngestRefused, match="Dolby Vision of profile 5"):
        read_dynamic_range(picture, "film.mp4")
