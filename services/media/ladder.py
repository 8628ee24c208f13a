"""Ladder of renditions: the rungs of a film, and ffmpeg's arguments that make them.

Pure. Promise: every segment begins with a key frame, all rungs cut at the same instants, no picture
is made larger than its source, and a segment stays below its rung's bandwidth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import ceil

SEGMENT_SECONDS = 4
_STANDARD_RATES = [
    *(Fraction(rate) for rate in (24, 25, 30, 50, 60)),
    *(Fraction(rate, 1001) for rate in (24_000, 30_000, 60_000)),
]
_HIGHEST_RATE = 60
_BUFFER_SECONDS = 0.25  # the encoder may run ahead of its rate by this much
_OVERHEAD = {"fmp4": 0.01, "ts": 0.06}  # of the container, as a part of the bandwidth


class SegmentType(Enum):
    """Container of the segments."""

    FMP4 = "fmp4"
    TS = "ts"


@dataclass(frozen=True, slots=True)
class Rung:
    """One quality: the box its picture fits in, and the most it may take, audio and all."""

    name: str
    width: int
    height: int
    bits_per_second: int
    video_bits_per_second: int
    audio_bits_per_second: int


LADDER = (
    Rung("1080p", 1920, 1080, 5_000_000, 4_500_000, 128_000),
    Rung("720p", 1280, 720, 2_800_000, 2_500_000, 128_000),
    Rung("480p", 854, 480, 1_400_000, 1_200_000, 96_000),
    Rung("360p", 640, 360, 800_000, 700_000, 64_000),
)


@dataclass(frozen=True, slots=True)
class VideoSource:
    """Video to encode; its size is as displayed: upright, with square pixels.

    `video` and `audio` are ffmpeg's names of the streams, such as 0:1; no `audio`: silent.
    """

    width: int
    height: int
    frame_rate: Fraction
    duration_seconds: float
    video: str = "0:v:0"
    audio: str | None = "0:a:0"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung as it is made of one source."""

    rung: Rung
    width: int
    height: int


def plan_steps(source: VideoSource) -> list[Step]:
    """List the rungs to make of a source, best first.

    A source smaller than every rung gets the lowest, at its own size.
    """
    steps = [_step(rung, source) for rung in LADDER if _scale(rung, source) <= 1]
    return steps or [_step(LADDER[-1], source)]


def choose_frame_rate(average_rate: float) -> Fraction:
    """Choose the constant rate for an average rate: a standard one within 1 %."""
    nearest = min(_STANDARD_RATES, key=lambda rate: abs(rate - average_rate))
    if abs(nearest - average_rate) <= 0.01 * nearest:
        return nearest
    return Fraction(min(_HIGHEST_RATE, max(1, round(average_rate))))


def build_command(
    source: VideoSource,
    steps: Sequence[Step],
    *,
    segment_seconds: int = SEGMENT_SECONDS,
    segments: SegmentType = SegmentType.FMP4,
    preset: str = "medium",
) -> list[str]:
    """Build ffmpeg's arguments after the inputs.

    They write `<rung>/index.m3u8` and its files below ffmpeg's folder.
    """
    arguments = ["-filter_complex", _filters(source, steps)]
    for number, step in enumerate(steps):
        arguments += ["-map", f"[v{number}]"]
        arguments += _video(source, step, segment_seconds, segments, preset)
        if source.audio:
            arguments += ["-map", source.audio, *_audio(step.rung)]
        arguments += ["-map_metadata", "-1", "-map_chapters", "-1"]
        arguments += _output(step.rung, segment_seconds, segments)
    return arguments


def video_rate(
    rung: Rung, shortest_seconds: float, segments: SegmentType = SegmentType.FMP4
) -> tuple[int, int]:
    """Compute bits per second and bits of buffer that keep segments below the rung's bandwidth.

    In a segment an encoder under a buffer writes at most rate x seconds + buffer.
    """
    room = rung.bits_per_second * (1 - _OVERHEAD[segments.value]) - rung.audio_bits_per_second
    buffer = rung.video_bits_per_second * _BUFFER_SECONDS
    return int(min(rung.video_bits_per_second, room - buffer / shortest_seconds)), int(buffer)


def shortest_seconds(source: VideoSource, segment_seconds: int) -> float:
    """Length of the shortest segment whose bit rate counts.

    The last segment counts if it has at least half the length, because the peak is that of runs of
    segments that last 0.5 to 1.5 target durations.

    Source: RFC 8216, section 4.1.
    """
    whole = _group(source, segment_seconds) / float(source.frame_rate)
    last = source.duration_seconds % whole
    return last if last >= whole / 2 else whole


def estimate_max_bytes(source: VideoSource, steps: Sequence[Step]) -> int:
    """Estimate the most bytes the renditions take on disk."""
    return ceil(sum(step.rung.bits_per_second for step in steps) / 8 * source.duration_seconds)


def _scale(rung: Rung, source: VideoSource) -> float:
    """How much the source must grow to touch the rung's box, which lies as the source does."""
    long, short = max(source.width, source.height), min(source.width, source.height)
    return min(rung.width / long, rung.height / short)


def _step(rung: Rung, source: VideoSource) -> Step:
    scale = min(1.0, _scale(rung, source))
    return Step(rung, _even(source.width * scale), _even(source.height * scale))


def _even(size: float) -> int:
    """4:2:0 colour needs an even number of pixels each way."""
    return max(2, round(size / 2) * 2)


def _filters(source: VideoSource, steps: Sequence[Step]) -> str:
    """One decoded film, its rate made constant, split and scaled for each rung."""
    names = "".join(f"[s{number}]" for number in range(len(steps)))
    chains = [f"[{source.video}]fps={source.frame_rate},split={len(steps)}{names}"]
    chains += [
        f"[s{number}]scale={step.width}:{step.height},setsar=1,format=yuv420p[v{number}]"
        for number, step in enumerate(steps)
    ]
    return ";".join(chains)


def _video(
    source: VideoSource, step: Step, segment_seconds: int, segments: SegmentType, preset: str
) -> list[str]:
    rate, buffer = video_rate(step.rung, shortest_seconds(source, segment_seconds), segments)
    group = str(_group(source, segment_seconds))
    options = {
        "-c:v": "libx264",
        "-preset": preset,
        "-profile:v": "high" if step.rung.height >= 720 else "main",
        "-b:v": str(rate),
        "-maxrate": str(rate),
        "-bufsize": str(buffer),
        "-g": group,
        "-keyint_min": group,
        "-sc_threshold": "0",
        "-flags": "+cgop",
    }
    return _flatten(options)


def _group(source: VideoSource, segment_seconds: int) -> int:
    """Frames from one key frame to the next: at 29.97 a second 120 of them are 4.004 s."""
    return max(1, round(source.frame_rate * segment_seconds))


def _audio(rung: Rung) -> list[str]:
    options = {
        "-c:a": "aac",
        "-b:a": str(rung.audio_bits_per_second),
        "-ac": "2",
        "-ar": "48000",
        "-af": "aresample=async=1:first_pts=0",
    }
    return _flatten(options)


def _output(rung: Rung, segment_seconds: int, segments: SegmentType) -> list[str]:
    is_ts = segments is SegmentType.TS
    options = {
        "-f": "hls",
        "-hls_time": str(segment_seconds),
        "-hls_playlist_type": "vod",
        "-hls_segment_type": "mpegts" if is_ts else "fmp4",
        "-hls_segment_filename": f"{rung.name}/seg%05d.{'ts' if is_ts else 'm4s'}",
    }
    if is_ts:  # the film begins at 0 and not at 1.4 s, where subtitles would not expect it
        options |= {"-muxdelay": "0", "-muxpreload": "0"}
    else:
        options["-hls_fmp4_init_filename"] = "init.mp4"
    return [*_flatten(options), f"{rung.name}/index.m3u8"]


def _flatten(options: dict[str, str]) -> list[str]:
    return [part for option in options.items() for part in option]
