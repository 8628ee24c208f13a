"""Format of media.json, one title's manifest: renditions, sound, subtitles, and their pieces.

Written by `python -m server ingest`, read by services/media/library.py. A manifest that does not
fit is refused as a whole, so every name and number of a Media can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

INDEX = "media.json"
SUBTITLES_FOLDER = "subtitles"
_MOST_PIECES = 100_000

# Plain names: no separators, nothing hidden, nothing that a shell or an address minds.
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
FileName = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,90}\.(m4s|mp4|ts|vtt)\Z")
]
Language = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z", max_length=35)
]
Codecs = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]+(,[A-Za-z0-9._-]+)*\Z", max_length=200)
]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
NotNegative = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file, or (with `offset_bytes`) a range of one. `uri` is its name in its own folder."""

    uri: FileName
    size_bytes: Positive
    offset_bytes: NotNegative | None = None


class Segment(Piece, frozen=True, kw_only=True, omit_defaults=True):
    """Piece with its length in seconds."""

    duration_seconds: Seconds


Segments = Annotated[list[Segment], msgspec.Meta(min_length=1, max_length=_MOST_PIECES)]


class Rendition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quality; its files lie in the folder `name`. Every segment begins with a key frame.

    `init` is the header of fMP4 segments; without it they are MPEG-TS. `codecs` is RFC 6381 text
    such as avc1.640028,mp4a.40.2. Bit rates are per second and of the encoder; those in playlists
    are measured from the segments.
    """

    name: Name
    width: Positive
    height: Positive
    frame_rate: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    codecs: Codecs
    video_bitrate: Positive
    audio_bitrate: NotNegative = 0  # 0: silent
    init: Piece | None = None
    segments: Segments


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sound in one language, beside renditions without; its files lie in the folder `name`.

    Without `language` the film does not tell it. `label` is what viewers read.
    """

    name: Name
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    language: Language | None = None
    is_default: bool = False
    codecs: Codecs
    bitrate: Positive
    init: Piece | None = None
    segments: Segments


class Subtitles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """WebVTT in one language, in the folder `subtitles`; mostly one segment of the whole length."""

    language: Language
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    is_default: bool = False
    segments: Segments


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """Content of media.json; a title has each language of subtitles once.

    With `audio` the renditions have no sound of their own: every player picks one track.

    Raises:
        ValueError: two things have one name, or two tracks of a kind are the default.
    """

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    duration_seconds: Seconds
    renditions: Annotated[list[Rendition], msgspec.Meta(min_length=1, max_length=16)]
    audio: Annotated[list[AudioTrack], msgspec.Meta(max_length=32)] = []
    subtitles: Annotated[list[Subtitles], msgspec.Meta(max_length=64)] = []

    @property
    def tracks(self) -> list[Rendition | AudioTrack]:
        """Everything with segments of picture or sound: each has a folder and a playlist."""
        return [*self.renditions, *self.audio]

    def __post_init__(self) -> None:
        folders = [*(one.name for one in self.tracks), SUBTITLES_FOLDER]
        _require_unique("renditions", folders)
        _require_unique("names of audio tracks", (one.label for one in self.audio))
        _require_unique("languages of subtitles", (one.language.lower() for one in self.subtitles))
        _require_unique("names of subtitles", (one.name for one in self.subtitles))
        for kind, tracks in (("subtitles", self.subtitles), ("audio tracks", self.audio)):
            if sum(one.is_default for one in tracks) > 1:
                raise ValueError(f"two {kind} are the default")


def _require_unique(label: str, names: Iterable[str]) -> None:
    names = list(names)
    if len(set(names)) != len(names):
        raise ValueError(f"{label} are not each there once")
