"""Four quality profiles of every title, and the choice of one for a bandwidth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.errors import ValidationFailed
from services.media.ladder import LADDER, Rung
from services.quality import Quality


@dataclass(frozen=True, slots=True)
class QualityProfile:
    """Rung as clients see it; bit rates per second, `bandwidth` the peak of picture and sound."""

    quality: Quality
    width: int
    height: int
    bandwidth: int
    video_bitrate: int
    audio_bitrate: int
    codecs: str
    frame_rate: float | None = None


_CODECS = {
    "1080p": "avc1.640028,mp4a.40.2",
    "720p": "avc1.64001f,mp4a.40.2",
    "480p": "avc1.4d401f,mp4a.40.2",
    "360p": "avc1.4d401e,mp4a.40.2",
}


def _profile(rung: Rung) -> QualityProfile:
    return QualityProfile(
        quality=nearest_quality(rung.width, rung.height),
        width=rung.width,
        height=rung.height,
        bandwidth=rung.bits_per_second,
        video_bitrate=rung.video_bits_per_second,
        audio_bitrate=rung.audio_bits_per_second,
        codecs=_CODECS[rung.name],
    )


def recommend_profile(bandwidth_mbps: float) -> QualityProfile:
    """Choose the finest rung for a connection of so many million bits per second.

    Raises:
        ValidationFailed: no such connection: negative, infinite or not a number.
    """
    if not math.isfinite(bandwidth_mbps) or bandwidth_mbps < 0:
        raise ValidationFailed("bandwidthMbps is a number, 0 or more.", path=["bandwidthMbps"])
    return next(profile for least, profile in _FROM_MBPS if bandwidth_mbps >= least)


def nearest_quality(width: int, height: int) -> Quality:
    """Find the quality nearest to a size.

    Compared by lines of a 16:9 picture as large, so wide and upright films are judged by detail.
    """
    long, short = max(width, height), min(width, height)
    lines = max(short, long * 9 / 16)
    candidates = [quality for quality in Quality if quality.height]
    return min(candidates, key=lambda quality: abs(math.log(quality.height / lines)))


PROFILES = tuple(map(_profile, LADDER))  # the finest first
_FROM_MBPS = tuple(zip((5.0, 2.5, 1.0, 0.0), PROFILES, strict=True))
