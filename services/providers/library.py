"""Provider of our own library: the HLS stream of a title on our disk.

The caller has checked the disk (services/media/library.py) and says so in the TitleRef; addresses
are signed for each viewer, so the one here is a placeholder in results that viewers share.
"""

from __future__ import annotations

from services.providers.base import Provider, ProviderInfo, Source, SourceType, TitleRef

KEY = "library"


class Library(Provider):
    """Provider of our own library."""

    calls_out = False

    def __init__(self) -> None:
        super().__init__(ProviderInfo(KEY, "Library", priority=1))

    async def sources(self, title: TitleRef) -> list[Source]:
        """List the HLS stream; its quality stays unknown, as the playlist is adaptive."""
        if not title.in_library:
            return []
        return [self.source(title.id, SourceType.HLS)]
