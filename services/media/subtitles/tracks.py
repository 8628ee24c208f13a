"""Subtitles for our own library: WebVTT, whatever text they came as, one file a language."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.media import ffmpeg
from services.media.errors import IngestRefused
from services.media.inspection.embedded_subtitles import EmbeddedSubtitles
from services.media.languages import canonical_tag, unique_names
from services.media.library import SUBTITLES_FOLDER, Segment, Subtitles
from services.media.subtitles.files import read_file, to_webvtt

_MAX_TRACKS = 64


@dataclass(frozen=True, slots=True)
class Text:
    """WebVTT of one language."""

    language: str
    content: bytes
    is_default: bool


async def convert_subtitles(
    binary: Path,
    files: Mapping[str, Path],
    embedded: Sequence[EmbeddedSubtitles],
    inputs: Sequence[str],
    work: Path,
    seconds: float,
) -> tuple[list[Subtitles], list[str]]:
    """Write WebVTT of files (WebVTT or SRT) and of the film's own tracks, one file a language.

    Args:
        files: by language; the first is the default, and each comes before the film's own.
        embedded: tracks of the film, read by ffmpeg from `inputs`.
        seconds: the film's length.

    Returns:
        The tracks, and in words what is left out.

    Raises:
        IngestRefused: a file is unreadable, too large, not UTF-8 or no subtitles.
    """
    texts = await asyncio.to_thread(_read_files, files)
    own = [each for each in embedded if each.language not in {text.language for text in texts}]
    own = own[: _MAX_TRACKS - len(texts)]
    extracted, notes = await _extract(binary, own, inputs, work, has_default=bool(texts))
    notes += [
        f"subtitles {each.stream} ({each.language}) are left out: others were handed in"
        for each in embedded
        if each not in own
    ]
    texts += extracted
    return (_write(texts, work / SUBTITLES_FOLDER, seconds) if texts else []), notes


def _read_files(files: Mapping[str, Path]) -> list[Text]:
    texts: list[Text] = []
    for language, file in files.items():
        tag = canonical_tag(language)
        if tag is None:
            raise IngestRefused(f"{language!r} is not a language such as en or pt-BR.")
        if any(text.language == tag for text in texts):
            raise IngestRefused(f"Subtitles name {tag} twice.")
        texts.append(Text(tag, to_webvtt(read_file(file), file.name), is_default=not texts))
    if len(texts) > _MAX_TRACKS:
        raise IngestRefused(f"At most {_MAX_TRACKS} languages of subtitles are taken.")
    return texts


async def _extract(
    binary: Path,
    tracks: Sequence[EmbeddedSubtitles],
    inputs: Sequence[str],
    work: Path,
    *,
    has_default: bool,
) -> tuple[list[Text], list[str]]:
    """Read tracks of the film as SRT; empty and broken ones are left out."""
    if not tracks:
        return [], []
    files = [work / f"embedded-{number}.srt" for number in range(len(tracks))]
    outputs = [
        part
        for track, file in zip(tracks, files, strict=True)
        for part in ("-map", track.stream, "-c:s", "srt", "-f", "srt", str(file.absolute()))
    ]
    await ffmpeg.run(binary, [*inputs, *outputs], folder=work)
    texts: list[Text] = []
    notes: list[str] = []
    for track, file in zip(tracks, files, strict=True):
        try:
            content = to_webvtt(read_file(file), f"subtitles {track.stream} ({track.language})")
        except IngestRefused as refusal:
            notes.append(f"left out: {refusal}")
        else:
            is_default = track.is_default and not has_default
            has_default |= is_default
            texts.append(Text(track.language, content, is_default))
        file.unlink()
    return texts, notes


def _write(texts: Sequence[Text], folder: Path, seconds: float) -> list[Subtitles]:
    folder.mkdir()
    names = unique_names([text.language for text in texts], unknown="Subtitles")
    tracks = []
    for text, name in zip(texts, names, strict=True):
        file = folder / f"{text.language}.vtt"
        file.write_bytes(text.content)
        whole = Segment(uri=file.name, size_bytes=len(text.content), duration_seconds=seconds)
        tracks.append(
            Subtitles(
                language=text.language, name=name, is_default=text.is_default, segments=[whole]
            )
        )
    return tracks
