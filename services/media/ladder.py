"""Ladder of renditions: the rungs of a film, their sizes and bit rates.

Pure. Promise: no picture is made larger than its source, none up to 1080p loses more than a quarter
of its pixels at the top, and a segment stays below its rung's bandwidth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import ceil, sqrt

from services.media.video_source import VideoSource

SEGMENT_SECONDS = 4
SEPARATE_AUDIO_BITS_PER_SECOND = 128_000  # of sound that is the same for all rungs
_MOST_SHRINKING = sqrt(4 / 3)  # each way
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
class Step:
    """A rung as it is made of one source."""

    rung: Rung
    width: int
    height: int


def plan_steps(source: VideoSource) -> list[Step]:
    """List the rungs to make of a source, best first.

    A source between two rungs is the upper one at its own size, where the lower one would throw
    more than a quarter of its pixels away. One smaller than every rung is the lowest, at its own
    size.
    """
    filled = [rung for rung in LADDER if _scale(rung, source) <= 1]
    above = LADDER[: len(LADDER) - len(filled)]
    if above and (not filled or 1 / _scale(filled[0], source) > _MOST_SHRINKING):
        filled.insert(0, above[-1])
    return [_step(rung, source) for rung in filled]


def group_of_pictures(source: VideoSource, segment_seconds: int) -> int:
    """Frames from one key frame to the next: at 29.97 a second 120 of them are 4.004 s."""
    return max(1, round(source.frame_rate * segment_seconds))


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
    whole = group_of_pictures(source, segment_seconds) / float(source.frame_rate)
    last = source.duration_seconds % whole
    return last if last >= whole / 2 else whole


def estimate_max_bytes(source: VideoSource, steps: Sequence[Step]) -> int:
    """Estimate the most bytes the renditions take on disk."""
    bits_per_second = sum(step.rung.bits_per_second for step in steps)
    if source.has_alternative_audio:
        bits_per_second += SEPARATE_AUDIO_BITS_PER_SECOND * len(source.audio)
    return ceil(bits_per_second / 8 * source.duration_seconds)


def _scale(rung: Rung, source: VideoSource) -> float:
    """How much the source must grow to touch the rung's box, which lies as the source does."""
    long, short = max(source.width, source.height), min(source.width, source.height)
    return min(rung.width / long, rung.height / short)


def _step(rung: Rung, source: VideoSource) -> Step:
    scale = min(1.0, _scale(rung, source))
    if source.has_alternative_audio:
        rung = replace(rung, audio_bits_per_second=SEPARATE_AUDIO_BITS_PER_SECOND)
    return Step(rung, _even(source.width * scale), _even(source.height * scale))


def _even(size: float) -> int:
    """4:2:0 colour needs an even number of pixels each way."""
    return max(2, round(size / 2) * 2)
