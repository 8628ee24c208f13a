"""ffmpeg's arguments that make the renditions of a film; the film is decoded once for all of them.

Pure. Promise: every segment begins with a key frame, all rungs cut at the same instants, and sound
lasts as long as the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.media import filters
from services.media.ladder import (
    SEGMENT_SECONDS,
    SEPARATE_AUDIO_BITS_PER_SECOND,
    SegmentType,
    Step,
    group_of_pictures,
    shortest_seconds,
    video_rate,
)
from services.media.video_source import AudioSource, VideoSource

DEFAULT_AUDIO = "audio-1"


@dataclass(frozen=True, slots=True)
class Target:
    """How renditions are cut and encoded."""

    segments: SegmentType = SegmentType.FMP4
    segment_seconds: int = SEGMENT_SECONDS
    preset: str = "medium"


def build_command(source: VideoSource, steps: Sequence[Step], target: Target) -> list[str]:
    """Build ffmpeg's arguments after the inputs.

    They write `<rung>/index.m3u8` and its files below ffmpeg's folder, and `audio-1/index.m3u8` and
    so on where viewers can choose their language.
    """
    arguments = ["-filter_complex", filters.picture_filters(source, steps)]
    for number, step in enumerate(steps):
        arguments += ["-map", f"[v{number}]", *_video(source, step, target)]
        if source.audio and not source.has_alternative_audio:
            arguments += _audio(source, source.audio[0], step.rung.audio_bits_per_second)
        arguments += _output(step.rung.name, target)
    for name, audio in separate_audio(source):
        arguments += _audio(source, audio, SEPARATE_AUDIO_BITS_PER_SECOND)
        arguments += _output(name, target)
    return arguments


def folders(source: VideoSource, steps: Sequence[Step]) -> list[str]:
    """List the folders that the command writes to."""
    return [*(step.rung.name for step in steps), *dict(separate_audio(source))]


def separate_audio(source: VideoSource) -> Iterator[tuple[str, AudioSource]]:
    """Sound that has segments of its own, each with the name of its folder."""
    if source.has_alternative_audio:
        for number, audio in enumerate(source.audio, start=1):
            yield f"audio-{number}", audio


def _video(source: VideoSource, step: Step, target: Target) -> list[str]:
    shortest = shortest_seconds(source, target.segment_seconds)
    rate, buffer = video_rate(step.rung, shortest, target.segments)
    group = str(group_of_pictures(source, target.segment_seconds))
    options = {
        "-c:v": "libx264",
        "-preset": target.preset,
        "-profile:v": "high" if step.rung.height >= 720 else "main",
        "-b:v": str(rate),
        "-maxrate": str(rate),
        "-bufsize": str(buffer),
        "-g": group,
        "-keyint_min": group,
        "-sc_threshold": "0",
        "-flags": "+cgop",
        # Pictures wait for one other at most: browsers ignore the edit list that makes up for it,
        # and sound that is two pictures early is noticed.
        "-b-pyramid": "none",
    }
    return _flatten(options)


def _audio(source: VideoSource, audio: AudioSource, bits_per_second: int) -> list[str]:
    options = {
        "-map": audio.stream,
        "-c:a": "aac",
        "-b:a": str(bits_per_second),
        "-ac": "2",
        "-ar": "48000",
        "-af": filters.sound_filters(source),
    }
    return _flatten(options)


def _output(folder: str, target: Target) -> list[str]:
    is_ts = target.segments is SegmentType.TS
    options = {
        "-map_metadata": "-1",
        "-map_chapters": "-1",
        "-f": "hls",
        "-hls_time": str(target.segment_seconds),
        "-hls_playlist_type": "vod",
        "-hls_segment_type": "mpegts" if is_ts else "fmp4",
        "-hls_segment_filename": f"{folder}/seg%05d.{'ts' if is_ts else 'm4s'}",
    }
    if is_ts:  # the film begins at 0 and not at 1.4 s, where subtitles would not expect it
        options |= {"-muxdelay": "0", "-muxpreload": "0"}
    else:
        options["-hls_fmp4_init_filename"] = "init.mp4"
    return [*_flatten(options), f"{folder}/index.m3u8"]


def _flatten(options: dict[str, str]) -> list[str]:
    return [part for option in options.items() for part in option]
