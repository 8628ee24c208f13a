"""Files of subtitles, made into WebVTT that every player shows at the right time."""

from __future__ import annotations

from pathlib import Path

from services.media.errors import IngestRefused
from services.media.subtitles import webvtt
from services.media.subtitles.subrip import parse_srt

_SUBTITLE_BYTES = 5_000_000


def read_file(file: Path) -> bytes:
    """Read a file of subtitles.

    Raises:
        IngestRefused: it cannot be read or is too large.
    """
    try:
        if file.stat().st_size > _SUBTITLE_BYTES:
            raise IngestRefused(f"{file.name} is larger than {_SUBTITLE_BYTES // 10**6} MB.")
        return file.read_bytes()
    except OSError as error:
        raise IngestRefused(f"{file} cannot be read: {error.strerror}.") from None


def to_webvtt(content: bytes, name: str) -> bytes:
    """Make WebVTT of WebVTT or SRT; bytes that need no mending stay as they are.

    Args:
        name: the file as error messages call it.

    Raises:
        IngestRefused: it is neither, or holds nothing that can be shown.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise IngestRefused(f"{name} is not text in UTF-8.") from None
    if "\0" in text:
        raise IngestRefused(f"{name} is not text: it holds NUL bytes.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not webvtt.is_webvtt(text):
        cues = parse_srt(text)
        if not cues:
            raise IngestRefused(f"{name} is neither WebVTT nor SRT.")
        return webvtt.serialize(cues).encode()
    document = webvtt.parse(text)
    if not document.cues:
        raise IngestRefused(f"{name} holds no subtitles that can be shown.")
    if not document.is_mended:
        return content
    return webvtt.serialize(document.cues, document.styles).encode()
