"""Ingest of a film into our library: encoded beside it, measured, then renamed.

Reads a video file and subtitles, runs ffmpeg, writes DATA_DIR/media/<title id>. Promise: each piece
that media.json names is there, to its last byte.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from services.media import encoding, ffmpeg, ladder
from services.media.encoding import Target
from services.media.errors import IngestRefused
from services.media.ingest_folder import publish, work_folder
from services.media.inspection.embedded_subtitles import EmbeddedSubtitles
from services.media.inspection.probe import probe
from services.media.ladder import SegmentType, Step
from services.media.languages import UNDETERMINED, unique_names
from services.media.library import AudioTrack, Media, Piece, Rendition, Segment
from services.media.segment_files import AAC, is_whole, read_codecs
from services.media.subtitles.tracks import convert_subtitles
from services.media.video_source import VideoSource

Progress = Callable[[float, float], None]  # seconds done, seconds in all
_MAX_LOSS, _MAX_LOSS_SECONDS = 0.02, 1.0  # of the picture may be missing once it is encoded


@dataclass(frozen=True, slots=True)
class Film:
    """Input of one ingest; `inputs` are ffmpeg's, for a film that is in no file."""

    source: VideoSource
    inputs: list[str]
    subtitles: Mapping[str, Path] = field(default_factory=dict)  # language -> WebVTT or SRT
    embedded: Sequence[EmbeddedSubtitles] = ()  # in the film's own file
    segments: SegmentType = SegmentType.FMP4
    segment_seconds: int = ladder.SEGMENT_SECONDS
    notes: Sequence[str] = ()  # what is left out or mended


@dataclass(frozen=True, slots=True)
class Encoder:
    """ffmpeg and its effort: x264's preset, and nice(2)'s number."""

    binary: Path
    preset: str = "medium"
    niceness: int = 0
    stall_seconds: float = ffmpeg.STALL_SECONDS


@dataclass(frozen=True, slots=True)
class Ingested:
    """Content of the library's new folder, and in words what of the film is left out or mended."""

    media: Media
    notes: list[str]


async def probe_film(
    encoder: Encoder, file: Path, subtitles: Mapping[str, Path], segments: SegmentType
) -> Film:
    """Describe a video file and its subtitles as an ingest's input.

    Raises:
        NotAVideo, IngestRefused, FfmpegFailed
    """
    film = await probe(encoder.binary, file)
    return Film(
        film.source,
        ffmpeg.input_arguments(file),
        subtitles,
        film.subtitles,
        segments,
        notes=film.notes,
    )


async def ingest(
    encoder: Encoder,
    film: Film,
    folder: Path,
    *,
    progress: Progress = lambda _done, _total: None,
    replaces: bool = False,
) -> Ingested:
    """Encode a film into `folder` of the library; `replaces` allows an existing one.

    Raises:
        IngestRefused: it is there already, the disk has no room, or a subtitle file is broken.
        FfmpegFailed: the film could not be encoded to its end.
    """
    steps = ladder.plan_steps(film.source)
    needed_bytes = ladder.estimate_max_bytes(film.source, steps)
    async with work_folder(folder, needed_bytes, replaces=replaces) as work:
        subtitles, notes = await convert_subtitles(
            encoder.binary,
            film.subtitles,
            film.embedded,
            film.inputs,
            work,
            film.source.duration_seconds,
        )  # first: what is broken shows at once
        await _encode(encoder, film, steps, work, progress)
        tracks = await asyncio.to_thread(_measure, film, steps, work)
        media = msgspec.structs.replace(tracks, subtitles=subtitles)
        await asyncio.to_thread(publish, media, work, folder)
    return Ingested(media, [*film.notes, *notes])


# ---- encoding


async def _encode(
    encoder: Encoder, film: Film, steps: list[Step], work: Path, progress: Progress
) -> None:
    for name in encoding.folders(film.source, steps):
        (work / name).mkdir()
    target = Target(film.segments, film.segment_seconds, encoder.preset)
    command = encoding.build_command(film.source, steps, target)
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


def _measure(film: Film, steps: list[Step], work: Path) -> Media:
    renditions = [_rendition(film, step, work / step.rung.name) for step in steps]
    audio = _audio_tracks(film, work)
    media = Media(duration_seconds=1, renditions=renditions, audio=audio)
    expected = film.source.duration_seconds
    seconds = min(_seconds(track.segments) for track in media.tracks)
    if seconds < expected - max(_MAX_LOSS_SECONDS, expected * _MAX_LOSS):
        raise IngestRefused(f"only {seconds:.0f} of {expected:.0f} s could be read: it is damaged.")
    return msgspec.structs.replace(media, duration_seconds=round(seconds, 6))


def _rendition(film: Film, step: Step, folder: Path) -> Rendition:
    init, segments = _files(folder)
    has_audio = bool(film.source.audio)
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
        init=init,
        segments=segments,
    )


def _audio_tracks(film: Film, work: Path) -> list[AudioTrack]:
    separate = dict(encoding.separate_audio(film.source))
    labels = unique_names([one.language for one in separate.values()], unknown="Audio")
    return [
        _audio_track(name, label, audio.language, work / name)
        for (name, audio), label in zip(separate.items(), labels, strict=True)
    ]


def _audio_track(name: str, label: str, language: str, folder: Path) -> AudioTrack:
    init, segments = _files(folder)
    return AudioTrack(
        name=name,
        label=label,
        language=language if language != UNDETERMINED else None,
        is_default=name == encoding.DEFAULT_AUDIO,
        codecs=AAC,
        bitrate=ladder.SEPARATE_AUDIO_BITS_PER_SECOND,
        init=init,
        segments=segments,
    )


def _files(folder: Path) -> tuple[Piece | None, list[Segment]]:
    """Header and segments that ffmpeg wrote, all complete; its own playlist goes."""
    playlist, init = folder / "index.m3u8", folder / "init.mp4"
    files = [file for file in folder.iterdir() if file != playlist]
    if not playlist.stat().st_size or not all(map(is_whole, files)):
        raise IngestRefused("A file could not be written to its end: the disk is full or broken.")
    segments = list(_segments(playlist))
    playlist.unlink()
    header = Piece(uri=init.name, size_bytes=init.stat().st_size) if init.exists() else None
    return header, segments


def _segments(playlist: Path) -> Iterator[Segment]:
    """Of ffmpeg's own playlist: #EXTINF with the length, then the file's name."""
    listed = re.findall(r"^#EXTINF:([\d.]+),.*\n([^#\n]+)$", playlist.read_text(), re.MULTILINE)
    for seconds, name in listed:
        size = (playlist.parent / name).stat().st_size
        yield Segment(uri=name, size_bytes=size, duration_seconds=float(seconds))


def _seconds(segments: Sequence[Segment]) -> float:
    return math.fsum(segment.duration_seconds for segment in segments)
