"""Subtitles for our own library: WebVTT, whatever text they came as, one file a language."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from services.media import ffmpeg
from services.media.library import SUBTITLES_FOLDER, Segment, Subtitles
from services.media.probe import IngestRefused

_NAMES = {  # in their own language; others are called by their tag
    "ar": "العربية",
    "cs": "Čeština",
    "da": "Dansk",
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fi": "Suomi",
    "fr": "Français",
    "hi": "हिन्दी",
    "it": "Italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nl": "Nederlands",
    "no": "Norsk",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "sv": "Svenska",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "中文",
}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)
_SUBTITLE_BYTES = 5_000_000


async def convert_subtitles(
    binary: Path, sources: Mapping[str, Path], work: Path, seconds: float
) -> list[Subtitles]:
    """Copy WebVTT files, and convert others (SRT above all) to WebVTT, one file a language.

    Raises:
        IngestRefused: a file is unreadable, too large, not UTF-8 or no subtitles.
    """
    if sources:
        (work / SUBTITLES_FOLDER).mkdir()
    tracks: list[Subtitles] = []
    for language, file in sources.items():
        if not _LANGUAGE.fullmatch(language):
            raise IngestRefused(f"{language!r} is not a language such as en or pt-BR.")
        target = work / SUBTITLES_FOLDER / f"{language}.vtt"
        if await asyncio.to_thread(_is_webvtt, file):
            await asyncio.to_thread(shutil.copyfile, file, target)
        else:
            await _convert_to_webvtt(binary, file, target)
        tracks.append(_track(language, target, seconds, is_first=not tracks))
    return tracks


def _is_webvtt(file: Path) -> bool:
    """Say whether a file is WebVTT.

    Raises:
        IngestRefused: it cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        if file.stat().st_size > _SUBTITLE_BYTES:
            raise IngestRefused(f"{file.name} is larger than {_SUBTITLE_BYTES // 10**6} MB.")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise IngestRefused(f"{file.name} is not text in UTF-8.") from None
    except OSError as error:
        raise IngestRefused(f"{file} cannot be read: {error.strerror}.") from None
    return re.match(r"WEBVTT([ \t\r\n]|$)", text) is not None


async def _convert_to_webvtt(binary: Path, file: Path, target: Path) -> None:
    arguments = [*ffmpeg.input_arguments(file), "-f", "webvtt", str(target)]
    try:
        await ffmpeg.run(binary, arguments, folder=target.parent)
    except ffmpeg.FfmpegFailed:
        raise IngestRefused(f"{file.name} is neither WebVTT nor SRT.") from None


def _track(language: str, file: Path, seconds: float, *, is_first: bool) -> Subtitles:
    whole = Segment(uri=file.name, size_bytes=file.stat().st_size, duration_seconds=seconds)
    name = _NAMES.get(language.split("-")[0], language)
    return Subtitles(language=language, name=name, is_default=is_first, segments=[whole])
