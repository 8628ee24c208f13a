"""Inspection of a film before anything is encoded: which streams, how long, and what to mend.

Three reads: ffmpeg's description, every packet (a pass over the file without decoding), and some
seconds of the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from services.media import ffmpeg
from services.media.errors import IngestRefused, NotAVideo
from services.media.filters import REQUIRED_FOR_HDR
from services.media.inspection.audio_tracks import choose_audio
from services.media.inspection.description import Description, StreamDescription, parse_description
from services.media.inspection.embedded_subtitles import EmbeddedSubtitles, choose_subtitles
from services.media.inspection.frame_rates import choose_frame_rate, measure_frame_rate
from services.media.inspection.interlacing import detect_interlacing
from services.media.inspection.packets import FilePackets, StreamPackets, read_packets
from services.media.inspection.pictures import choose_picture, list_pictures, read_dynamic_range
from services.media.video_source import DynamicRange, VideoSource

_MAX_SECONDS = 86_400
_MISSING_PART, _MISSING_SECONDS = 0.01, 0.5  # of what is declared may be missing
_LONGER_SECONDS = 1.0  # sound that is cut by more is told
_INTERLACED = re.compile(r"\b(?:top|bottom) (?:coded )?first\b")
_FALLBACK_RATE = 25.0


@dataclass(frozen=True, slots=True)
class InspectedFilm:
    """What to encode of a file, its subtitles, and in words what is left out or mended."""

    source: VideoSource
    subtitles: list[EmbeddedSubtitles]
    notes: list[str]


async def probe(binary: Path, file: Path) -> InspectedFilm:
    """Inspect a video file.

    Raises:
        NotAVideo: no picture, no length, or not a file that ffmpeg can read.
        IngestRefused: its end is missing, or its colours cannot be shown rightly.
        FfmpegFailed: ffmpeg failed, or did not answer in time.
    """
    description = parse_description(await ffmpeg.describe(binary, file))
    pictures = list_pictures(description, file.name)
    sounds, texts = description.of_kind("Audio"), description.of_kind("Subtitle")
    names = [each.name for each in (*pictures, *sounds, *texts)]
    packets = await read_packets(binary, file, names)
    _require_end(description, packets)
    picture = choose_picture(pictures, packets.streams, file.name)
    silent = [each.name for each in sounds if not packets.streams[each.name].times]
    audio, audio_notes = choose_audio(sounds, silent)
    subtitles, subtitle_notes = choose_subtitles(texts)
    seconds = _picture_seconds(packets.streams[picture.name], file.name)
    width, height = picture.display_size
    source = VideoSource(
        width,
        height,
        _frame_rate(picture, packets.streams[picture.name]),
        seconds,
        picture.name,
        tuple(audio),
        await detect_interlacing(binary, file, picture.name, seconds),
        await _dynamic_range(binary, picture, file.name),
    )
    notes = [*audio_notes, *subtitle_notes, *_notes(picture, source, packets)]
    return InspectedFilm(source, subtitles, notes)


def _require_end(description: Description, packets: FilePackets) -> None:
    """Refuse a file that promises more than it holds."""
    declared = description.declared_seconds or 0.0
    missing = declared - packets.claimed_end
    if missing > max(_MISSING_SECONDS, _MISSING_PART * declared):
        raise IngestRefused(
            f"only {packets.end:.0f} of {declared:.0f} s could be read: it is damaged."
        )
    if packets.is_cut_off:
        raise IngestRefused(
            f"the file ends in the midst, after {packets.end:.0f} s: it is damaged."
        )


def _picture_seconds(packets: StreamPackets, name: str) -> float:
    """Length of the picture from the film's beginning on."""
    seconds = round(packets.end, 6)
    if not 0 < seconds <= _MAX_SECONDS:
        raise NotAVideo(
            f"{name} is {seconds:.0f} s long: more than 0 s and at most a day is taken."
        )
    return seconds


def _frame_rate(picture: StreamDescription, packets: StreamPackets) -> Fraction:
    """The rate of its packets, each of which is a picture, or a field of one."""
    described = picture.frame_rate or _FALLBACK_RATE
    measured = measure_frame_rate(packets.times) or described
    is_interlaced = _INTERLACED.search(picture.line) is not None
    if is_interlaced and abs(measured - 2 * described) < 0.02 * measured:
        measured = described
    return choose_frame_rate(measured)


async def _dynamic_range(binary: Path, picture: StreamDescription, name: str) -> DynamicRange:
    value = read_dynamic_range(picture, name)
    if value is DynamicRange.SDR:
        return value
    lines: list[bytes] = []
    await ffmpeg.read(binary, ["-loglevel", "error", "-filters"], lines.extend)
    available = {line.split()[1].decode() for line in lines if len(line.split()) > 1}
    if not available.issuperset(REQUIRED_FOR_HDR):
        raise IngestRefused(
            f"{name} is made for {value.value}, and {binary} cannot map that to SDR: "
            "it lacks zscale."
        )
    return value


def _notes(picture: StreamDescription, source: VideoSource, packets: FilePackets) -> Iterator[str]:
    if source.dynamic_range is not DynamicRange.SDR:
        yield f"the picture is mapped from {source.dynamic_range.value} to SDR"
    if "Closed Captions" in picture.line:
        yield "closed captions in the picture are left out"
    end = max((packets.streams[each.stream].end for each in source.audio), default=0.0)
    if end > source.duration_seconds + _LONGER_SECONDS:
        yield f"sound after the picture's end is cut: {end - source.duration_seconds:.0f} s"
