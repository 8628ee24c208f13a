"""Choice of a film's sound: the track its author plays first, and one of each further language.

Commentaries and descriptions for who cannot see are for some viewers; they are never the default.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from services.media.inspection.description import StreamDescription
from services.media.languages import UNDETERMINED, tag_of_code
from services.media.video_source import AudioSource

MAX_TRACKS = 16
_EXTRA_FLAGS = ("comment", "visual impaired", "descriptions", "karaoke", "lyrics", "clean effects")
_EXTRA_TITLE = re.compile(
    r"comment|kommentar|comentari|commento|descripti|described|audio ?desc|h[öo]rfilm|isolated",
    re.IGNORECASE,
)


def choose_audio(
    streams: Sequence[StreamDescription], silent: Collection[str] = ()
) -> tuple[list[AudioSource], list[str]]:
    """Choose tracks, the default first, and say in words what is left out.

    Args:
        streams: the file's audio streams.
        silent: names of those that hold nothing.
    """
    filled = [each for each in streams if each.name not in silent]
    programme = [each for each in filled if not is_extra(each)] or filled[:1]
    chosen: list[StreamDescription] = []
    languages: set[str] = set()
    for stream in sorted(programme, key=lambda each: not each.has_flag("default")):
        language = tag_of_code(stream.language)
        if language not in languages and len(chosen) < MAX_TRACKS:
            chosen.append(stream)
            languages |= {language} - {UNDETERMINED}
    notes = [_note(each, silent) for each in streams if each not in chosen]
    return [AudioSource(each.name, tag_of_code(each.language)) for each in chosen], notes


def is_extra(stream: StreamDescription) -> bool:
    """Say whether a track accompanies a film that plays without it, as a commentary does."""
    return stream.has_flag(*_EXTRA_FLAGS) or _EXTRA_TITLE.search(stream.titles) is not None


def _note(stream: StreamDescription, silent: Collection[str]) -> str:
    if stream.name in silent:
        reason = "it is empty"
    elif is_extra(stream):
        reason = "a commentary or description"
    else:
        reason = "another of its language is taken"
    return f"sound {stream.name} ({tag_of_code(stream.language)}) is left out: {reason}"
