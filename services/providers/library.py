"""Our own library: DATA_DIR/media/<title id>/master.m3u8 is that title's HLS stream.

Reads the disk only, in a thread; a title without a folder is simply not here.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from services.providers.base import Provider, ProviderInfo, Source, SourceType, TitleRef

KEY = "library"
PLAYLIST = "master.m3u8"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Library(Provider):
    """`media_url` is where the API serves `media_dir`."""

    def __init__(self, media_dir: Path, media_url: str) -> None:
        super().__init__(ProviderInfo(KEY, "Library", priority=1))
        self._media_dir = media_dir
        self._media_url = media_url

    async def sources(self, title: TitleRef) -> list[Source]:
        """The quality is left unknown: the playlist is adaptive, the player chooses."""
        if not _PLAIN.fullmatch(title.id):
            return []  # nothing outside media_dir is ever looked at
        playlist = self._media_dir / title.id / PLAYLIST
        if not await asyncio.to_thread(playlist.is_file):
            return []
        return [self.source(f"{self._media_url}/{title.id}/{PLAYLIST}", SourceType.HLS)]
