"""Choice of the subtitles in a film's file: one text track of each language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.media.inspection.audio_tracks import is_extra
from services.media.inspection.description import StreamDescription
from services.media.languages import tag_of_code

_TEXT_CODECS = {
    "ass",
    "eia_608",
    "microdvd",
    "mov_text",
    "mpl2",
    "realtext",
    "sami",
    "srt",
    "ssa",
    "stl",
    "subrip",
    "subviewer",
    "text",
    "vplayer",
    "webvtt",
}


@dataclass(frozen=True, slots=True)
class EmbeddedSubtitles:
    """Text track in a film's file: ffmpeg's name of its stream, and its language."""

    stream: str
    language: str
    is_default: bool = False


def choose_subtitles(
    streams: Sequence[StreamDescription],
) -> tuple[list[EmbeddedSubtitles], list[str]]:
    """Choose tracks in the file's order, and say in words what is left out.

    Of several of a language the complete ones come before those of foreign words alone.
    """
    texts = [each for each in streams if each.codec in _TEXT_CODECS]
    best: dict[str, StreamDescription] = {}
    for stream in sorted(texts, key=_rank):
        best.setdefault(tag_of_code(stream.language), stream)
    chosen = [each for each in streams if each in best.values()]
    notes = [_note(each) for each in streams if each not in chosen]
    return [_embedded(each) for each in chosen], notes


def _rank(stream: StreamDescription) -> tuple[bool, bool, bool]:
    is_for_deaf = stream.has_flag("hearing impaired", "captions")
    return is_extra(stream), stream.has_flag("forced"), is_for_deaf


def _embedded(stream: StreamDescription) -> EmbeddedSubtitles:
    is_default = stream.has_flag("default") and not is_extra(stream)
    return EmbeddedSubtitles(stream.name, tag_of_code(stream.language), is_default)


def _note(stream: StreamDescription) -> str:
    is_text = stream.codec in _TEXT_CODECS
    reason = "another of its language is taken" if is_text else "they are pictures, not text"
    return f"subtitles {stream.name} ({tag_of_code(stream.language)}) are left out: {reason}"
