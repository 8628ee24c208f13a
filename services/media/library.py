"""Our own library on disk: DATA_DIR/media/<title id>/media.json and the files it names.

`python -m server ingest` writes a title's folder, media.json last; here it is read in a thread and
cached until it changes. Only files that media.json names are ever opened, inside the folder only.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from services.errors import UpstreamUnavailable
from services.media.manifest import (
    INDEX,
    SUBTITLES_FOLDER,
    AudioTrack,
    Media,
    Piece,
    Rendition,
    Segment,
    Subtitles,
)
from services.telemetry.logs import get_logger

T = TypeVar("T")
log = get_logger("media_library")
DEMO = "demo"
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_MOST_INDEX_BYTES = 32 * 1024 * 1024
_MAX_CACHED_TITLES = 64  # titles; a long film's index is a megabyte of memory
_THREADS = 4
_DISK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TitleMedia:
    """One title's folder as media.json describes it; `derived` caches what callers derive."""

    folder: Path
    media: Media
    files: frozenset[str]
    derived: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """Open file for the caller to close; `tag` changes with the content."""

    file: BinaryIO
    size_bytes: int
    modified_at: float
    tag: str


class MediaLibrary:
    """Titles on disk; `fallback` names a folder that plays for titles without their own."""

    def __init__(self, folder: Path, *, fallback: str | None = None) -> None:
        self._folder = folder
        self._fallback = fallback
        self._cache: OrderedDict[str, tuple[_Signature, TitleMedia | None]] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, "media")

    def close(self) -> None:
        """End the reading threads without waiting."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def titles(self, title_ids: Iterable[str]) -> dict[str, TitleMedia]:
        """Get the titles that are on disk, by id; one trip to the disk for all.

        Raises:
            UpstreamUnavailable: the disk does not answer.
        """
        return await self._in_thread(self._titles, list(title_ids))

    async def title(self, title_id: str) -> TitleMedia | None:
        """Get one title, or None; raises UpstreamUnavailable."""
        return (await self.titles([title_id])).get(title_id)

    async def has_title(self, title_id: str) -> bool:
        """Say whether the title is on disk; raises UpstreamUnavailable."""
        return await self.title(title_id) is not None

    async def durations(self, title_ids: Iterable[str]) -> dict[str, float]:
        """Measured seconds of the titles that are on disk themselves, not by the fallback.

        Raises:
            UpstreamUnavailable: the disk does not answer.
        """
        titles = await self.titles(title_ids)
        return {
            title_id: title.media.duration_seconds
            for title_id, title in titles.items()
            if title.folder.name == title_id
        }

    async def open(self, title: TitleMedia, path: str) -> OpenedFile | None:
        """Open a file that media.json names, as `360p/seg00001.m4s`; None for any other path.

        Raises:
            UpstreamUnavailable: the disk does not answer.
        """
        if path not in title.files:
            return None
        return await self._in_thread(_open, title.folder, path)

    async def read(self, opened: OpenedFile, offset: int, size_bytes: int) -> bytes:
        """Read at most `size_bytes` from `offset`; none at the end.

        Raises:
            UpstreamUnavailable: the disk does not answer.
        """
        return await self._in_thread(os.pread, opened.file.fileno(), size_bytes, offset)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                return await loop.run_in_executor(self._threads, work, *arguments)
        except (TimeoutError, OSError) as error:
            log.warning("media_disk_failed", error=repr(error))
            raise UpstreamUnavailable("Films cannot be read just now.") from None

    def _titles(self, title_ids: list[str]) -> dict[str, TitleMedia]:
        titles = {title_id: self._title(title_id) for title_id in title_ids}
        return {title_id: title for title_id, title in titles.items() if title is not None}

    def _title(self, title_id: str) -> TitleMedia | None:
        if not _TITLE.fullmatch(title_id):
            return None  # no path of its own is ever made of it
        own = self._read(title_id)
        return own if own is not None or self._fallback is None else self._read(self._fallback)

    def _read(self, name: str) -> TitleMedia | None:
        """From memory, if media.json is still the one that was read."""
        folder = self._folder / name
        signature = _signature(folder / INDEX)
        if signature is None:
            self._cache.pop(name, None)
            return None
        cached = self._cache.get(name)
        if cached is None or cached[0] != signature:
            cached = (signature, _parse_index(folder))
            self._put(name, cached)
        return cached[1]

    def _put(self, name: str, entry: tuple[_Signature, TitleMedia | None]) -> None:
        self._cache.pop(name, None)
        if len(self._cache) >= _MAX_CACHED_TITLES:
            self._cache.popitem(last=False)
        self._cache[name] = entry


_Signature = tuple[int, int, int]


def _signature(index: Path) -> _Signature | None:
    try:
        status = index.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _parse_index(folder: Path) -> TitleMedia | None:
    """None, and one line in the log, for an index that is not as it should be."""
    try:
        with (folder / INDEX).open("rb") as file:
            media = msgspec.json.decode(file.read(_MOST_INDEX_BYTES), type=Media)
    except (msgspec.DecodeError, ValueError) as error:
        log.error("media_index_refused", title=folder.name, error=str(error)[:300])
        return None
    return TitleMedia(folder, media, frozenset(_files(media)))


def _files(media: Media) -> Iterator[str]:
    for one in media.tracks:
        if one.init is not None:
            yield f"{one.name}/{one.init.uri}"
        for segment in one.segments:
            yield f"{one.name}/{segment.uri}"
    for subtitles in media.subtitles:
        for segment in subtitles.segments:
            yield f"{SUBTITLES_FOLDER}/{segment.uri}"


def _open(folder: Path, path: str) -> OpenedFile | None:
    """None for what is gone, is no plain file, or is linked to from inside but lies outside."""
    root, real = os.path.realpath(folder), os.path.realpath(folder / path)
    if not real.startswith(root + os.sep):
        return None
    try:
        # Without O_NONBLOCK a named pipe would hold the thread.
        number = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        return None
    file = os.fdopen(number, "rb", buffering=0)
    return OpenedFile(
        file, status.st_size, status.st_mtime, f"{status.st_mtime_ns:x}-{status.st_size:x}"
    )


__all__ = [
    "DEMO",
    "INDEX",
    "SUBTITLES_FOLDER",
    "AudioTrack",
    "Media",
    "MediaLibrary",
    "OpenedFile",
    "Piece",
    "Rendition",
    "Segment",
    "Subtitles",
    "TitleMedia",
]
