"""Ingest of a film into our library: encoded beside it, measured, then renamed.

Reads a video file and subtitles, runs ffmpeg, writes DATA_DIR/media/<title id>. Promise: each piece
that media.json names is there, to its last byte.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.media import ffmpeg, ladder
from services.media.ingest_folder import publish, work_folder
from services.media.ingest_subtitles import convert_subtitles
from services.media.ladder import SegmentType, Step, VideoSource
from services.media.library import Media, Piece, Rendition, Segment, Subtitles
from services.media.probe import IngestRefused, is_whole, probe, read_codecs

Progress = Callable[[float, float], None]  # seconds done, seconds in all
_MAX_LOSS = 0.02  # of the length may be missing at the end of a sound file


@dataclass(frozen=True, slots=True)
class Film:
    """Input of one ingest; `inputs` are ffmpeg's, for a film that is in no file."""

    source: VideoSource
    inputs: list[str]
    subtitles: Mapping[str, Path] = field(default_factory=dict)  # language -> WebVTT or SRT
    segments: SegmentType = SegmentType.FMP4
    segment_seconds: int = ladder.SEGMENT_SECONDS


@dataclass(frozen=True, slots=True)
class Encoder:
    """ffmpeg and its effort: x264's preset, and nice(2)'s number."""

    binary: Path
    preset: str = "medium"
    niceness: int = 0
    stall_seconds: float = ffmpeg.STALL_SECONDS


async def probe_film(
    encoder: Encoder, file: Path, subtitles: Mapping[str, Path], segments: SegmentType
) -> Film:
    """Describe a video file and its subtitles as an ingest's input.

    Raises:
        NotAVideo, FfmpegFailed
    """
    source = await probe(encoder.binary, file)
    return Film(source, ffmpeg.input_arguments(file), subtitles, segments)


async def ingest(
    encoder: Encoder,
    film: Film,
    folder: Path,
    *,
    progress: Progress = lambda _done, _total: None,
    replaces: bool = False,
) -> Media:
    """Encode a film into `folder` of the library; `replaces` allows an existing one.

    Raises:
        IngestRefused: it is there already, the disk has no room, or a subtitle file is broken.
        FfmpegFailed: the film could not be encoded to its end.
    """
    steps = ladder.plan_steps(film.source)
    needed_bytes = ladder.estimate_max_bytes(film.source, steps)
    async with work_folder(folder, needed_bytes, replaces=replaces) as work:
        subtitles = await convert_subtitles(
            encoder.binary, film.subtitles, work, film.source.duration_seconds
        )  # first: what is broken shows at once
        await _encode(encoder, film, steps, work, progress)
        media = await asyncio.to_thread(_measure, film, steps, subtitles, work)
        await asyncio.to_thread(publish, media, work, folder)
    return media


# ---- encoding


async def _encode(
    encoder: Encoder, film: Film, steps: list[Step], work: Path, progress: Progress
) -> None:
    for step in steps:
        (work / step.rung.name).mkdir()
    command = ladder.build_command(
        film.source,
        steps,
        segments=film.segments,
        segment_seconds=film.segment_seconds,
        preset=encoder.preset,
    )
    total = film.source.duration_seconds
    await ffmpeg.run(
        encoder.binary,
        [*film.inputs, *command],
        folder=work,
        on_progress=lambda done: progress(min(done, total), total),
        stall_seconds=encoder.stall_seconds,
        niceness=encoder.niceness,
    )


# ---- measuring


def _measure(film: Film, steps: list[Step], subtitles: list[Subtitles], work: Path) -> Media:
    renditions = [_rendition(film, step, work / step.rung.name) for step in steps]
    seconds = min(
        sum(segment.duration_seconds for segment in rendition.segments) for rendition in renditions
    )
    expected = film.source.duration_seconds
    if seconds < expected - max(2 * film.segment_seconds, expected * _MAX_LOSS):
        raise IngestRefused(f"only {seconds:.0f} of {expected:.0f} s could be read: it is damaged.")
    return Media(duration_seconds=round(seconds, 6), renditions=renditions, subtitles=subtitles)


def _rendition(film: Film, step: Step, folder: Path) -> Rendition:
    playlist, init = folder / "index.m3u8", folder / "init.mp4"
    files = [file for file in folder.iterdir() if file != playlist]
    if not playlist.stat().st_size or not all(map(is_whole, files)):
        raise IngestRefused("A file could not be written to its end: the disk is full or broken.")
    segments = list(_segments(playlist))
    playlist.unlink()
    has_audio = film.source.audio is not None
    shortest = ladder.shortest_seconds(film.source, film.segment_seconds)
    rate, _ = ladder.video_rate(step.rung, shortest, film.segments)
    return Rendition(
        name=step.rung.name,
        width=step.width,
        height=step.height,
        frame_rate=round(float(film.source.frame_rate), 3),
        codecs=read_codecs(folder, has_audio=has_audio),
        video_bitrate=rate,
        audio_bitrate=step.rung.audio_bits_per_second if has_audio else 0,
        init=Piece(uri=init.name, size_bytes=init.stat().st_size) if init.exists() else None,
        segments=segments,
    )


def _segments(playlist: Path) -> Iterator[Segment]:
    """Of ffmpeg's own playlist: #EXTINF with the length, then the file's name."""
    listed = re.findall(r"^#EXTINF:([\d.]+),.*\n([^#\n]+)$", playlist.read_text(), re.MULTILINE)
    for seconds, name in listed:
        size = (playlist.parent / name).stat().st_size
        yield Segment(uri=name, size_bytes=size, duration_seconds=float(seconds))
