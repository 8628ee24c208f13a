"""Which renditions a film gets, and at which bit rates."""

from __future__ import annotations

from fractions import Fraction

import pytest

from services.media.encoding import Target, build_command
from services.media.ladder import (
    LADDER,
    SegmentType,
    estimate_max_bytes,
    plan_steps,
    shortest_seconds,
    video_rate,
)
from services.media.video_source import AudioSource, VideoSource


def source(
    width: int = 1920, height: int = 1080, rate: Fraction = Fraction(25), seconds: float = 60
) -> VideoSource:
    return VideoSource(width, height, rate, seconds)


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((1920, 1080), ["1080p 1920x1080", "720p 1280x720", "480p 854x480", "360p 640x360"]),
        # larger than every rung
        ((3840, 2160), ["1080p 1920x1080", "720p 1280x720", "480p 854x480", "360p 640x360"]),
        # wide: as broad as the rung
        ((1920, 800), ["1080p 1920x800", "720p 1280x534", "480p 854x356", "360p 640x266"]),
        # upright: the rung's box lies as the film does
        ((1080, 1920), ["1080p 1080x1920", "720p 720x1280", "480p 480x854", "360p 360x640"]),
        # narrow: as high as the rung
        ((1440, 1080), ["1080p 1440x1080", "720p 960x720", "480p 640x480", "360p 480x360"]),
        # nothing is made larger
        ((1280, 720), ["720p 1280x720", "480p 854x480", "360p 640x360"]),
        ((720, 480), ["480p 720x480", "360p 540x360"]),
        ((320, 180), ["360p 320x180"]),
        ((101, 75), ["360p 100x76"]),
        # a little smaller than a rung: the rung, at the film's own size
        ((1916, 1076), ["1080p 1916x1076", "720p 1280x718", "480p 854x480", "360p 640x360"]),
        ((852, 478), ["480p 852x478", "360p 640x360"]),
        ((1910, 800), ["1080p 1910x800", "720p 1280x536", "480p 854x358", "360p 640x268"]),
        # PAL with square pixels, and 900 lines: half-way between two rungs
        ((1024, 576), ["720p 1024x576", "480p 854x480", "360p 640x360"]),
        ((1600, 900), ["1080p 1600x900", "720p 1280x720", "480p 854x480", "360p 640x360"]),
        # the lower rung has three quarters of the pixels
        ((960, 540), ["480p 854x480", "360p 640x360"]),
        ((1, 1), ["360p 2x2"]),
    ],
)
def test_a_film_gets_the_rungs_it_fills(size: tuple[int, int], made: list[str]) -> None:
    assert [f"{s.rung.name} {s.width}x{s.height}" for s in plan_steps(source(*size))] == made


@pytest.mark.parametrize("kind", list(SegmentType))
def test_no_segment_can_exceed_its_rungs_bandwidth(kind: SegmentType) -> None:
    for rung in LADDER:
        for seconds in (1, 2, 4):
            # given the encoder's rate and buffer, when a segment takes all that both allow
            rate, buffer = video_rate(rung, seconds, kind)
            bits = rate * seconds + buffer + rung.audio_bits_per_second * seconds
            # then it stays below, and most of what the rung allows is used
            assert bits < rung.bits_per_second * seconds
            assert 0.65 * rung.video_bits_per_second < rate <= rung.video_bits_per_second


def test_a_short_last_segment_counts_from_half_the_length_on() -> None:
    assert shortest_seconds(source(seconds=8), 4) == 4
    assert shortest_seconds(source(seconds=9), 4) == 4
    assert shortest_seconds(source(seconds=11), 4) == 3
    whole = shortest_seconds(source(rate=Fraction(30000, 1001), seconds=8.008), 4)
    assert whole == pytest.approx(4.004)


def test_key_frames_stand_at_the_same_frames_on_every_rung() -> None:
    film = source(rate=Fraction(24000, 1001))
    arguments = build_command(film, plan_steps(film), Target(segment_seconds=4))
    every = [arguments[at + 1] for at, each in enumerate(arguments) if each == "-g"]
    assert every == ["96"] * 4  # 4.004 s
    assert arguments.count("-filter_complex") == 1  # decoded once


def test_a_silent_film_maps_no_sound() -> None:
    silent = VideoSource(640, 360, Fraction(25), 10, audio=())
    assert "-c:a" not in build_command(silent, plan_steps(silent), Target())


def test_sound_in_several_languages_is_encoded_once_and_counts_on_every_rung() -> None:
    # given a film in two languages
    tracks = (AudioSource("0:1", "en"), AudioSource("0:2", "de"))
    film = VideoSource(1280, 720, Fraction(25), 3600, audio=tracks)
    steps = plan_steps(film)
    arguments = build_command(film, steps, Target())
    # then each language is encoded once, beside three pictures without sound
    assert arguments.count("-c:a") == 2
    assert [each for each in arguments if each.endswith("index.m3u8")] == [
        "720p/index.m3u8",
        "480p/index.m3u8",
        "360p/index.m3u8",
        "audio-1/index.m3u8",
        "audio-2/index.m3u8",
    ]
    # and every rung leaves room for it, on disk too
    assert {step.rung.audio_bits_per_second for step in steps} == {128_000}
    assert estimate_max_bytes(film, steps) == 3600 * (2_800_000 + 1_400_000 + 800_000 + 256_000) / 8


def test_an_hour_in_all_qualities_needs_at_most_five_gigabytes() -> None:
    film = source(seconds=3600)
    assert estimate_max_bytes(film, plan_steps(film)) == 4_500_000_000
