"""Titles of our own library for tests: media.json and files of the sizes it tells."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from services.media.manifest import INDEX, AudioTrack, Media, Piece, Rendition, Segment, Subtitles


def segment(number: int, seconds: float = 4.0, size_bytes: int = 1000, **more: Any) -> Segment:
    uri = more.pop("uri", f"seg{number:05}.m4s")
    return Segment(uri=uri, duration_seconds=seconds, size_bytes=size_bytes, **more)


def rendition(name: str, **fields: Any) -> Rendition:
    """fMP4 at 640 x 360 with two segments of 4 s and one of 1.5 s, unless told otherwise."""
    values: dict[str, Any] = {
        "width": 640,
        "height": 360,
        "frame_rate": 25.0,
        "codecs": "avc1.4d401e,mp4a.40.2",
        "video_bitrate": 700_000,
        "audio_bitrate": 64_000,
        "init": Piece(uri="init.mp4", size_bytes=700),
        "segments": [segment(0, 4.0, 2000), segment(1, 4.0, 3000), segment(2, 1.5, 500)],
    }
    return Rendition(name=name, **values | fields)


def audio_track(name: str, label: str, **fields: Any) -> AudioTrack:
    """Sound of 9.5 s in two segments, without a language unless told otherwise."""
    values: dict[str, Any] = {
        "codecs": "mp4a.40.2",
        "bitrate": 128_000,
        "init": Piece(uri="init.mp4", size_bytes=600),
        "segments": [segment(0, 5.0, 1000), segment(1, 4.5, 700)],
    }
    return AudioTrack(name=name, label=label, **values | fields)


def subtitles(language: str, name: str, **fields: Any) -> Subtitles:
    whole = Segment(uri=f"{language}.vtt", duration_seconds=9.5, size_bytes=950)
    return Subtitles(language=language, name=name, **{"segments": [whole]} | fields)


def film(**fields: Any) -> Media:
    """Two renditions, and subtitles in two languages."""
    fine = [segment(0, 4.0, 9000), segment(1, 4.0, 8000), segment(2, 1.5, 1000)]
    values: dict[str, Any] = {
        "duration_seconds": 9.5,
        "renditions": [
            rendition("720p", width=1280, height=720, segments=fine),
            rendition("360p"),
        ],
        "subtitles": [
            subtitles("en", "English", is_default=True),
            subtitles("de", "Deutsch"),
        ],
    }
    return Media(**values | fields)


def store(folder: Path, title_id: str, media: Media) -> Path:
    """The title's folder, complete."""
    home = folder / title_id
    for one in media.tracks:
        for piece in [*([one.init] if one.init else []), *one.segments]:
            _write(home / one.name, piece)
    for track in media.subtitles:
        for piece in track.segments:
            _write(home / "subtitles", piece)
    write_index(home, media)
    return home


def write_index(home: Path, media: Media) -> None:
    """As `ingest` does it: whole or not at all."""
    home.mkdir(parents=True, exist_ok=True)
    draft = home / "draft"
    draft.write_bytes(msgspec.json.encode(media))
    draft.replace(home / INDEX)


def content(path: str, size_bytes: int) -> bytes:
    """What stands in the file at `360p/seg00001.m4s`, never the same as in another."""
    return hashlib.shake_128(path.encode()).digest(size_bytes)


def _write(folder: Path, piece: Piece) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / piece.uri
    data = content(f"{folder.name}/{piece.uri}", (piece.offset_bytes or 0) + piece.size_bytes)
    if not file.exists() or file.stat().st_size < len(data):
        file.write_bytes(data)
