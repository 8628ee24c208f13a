"""Our own library: the HLS stream of a title that lies on our disk (services/media/library.py).

Whoever asks has looked there and says so in the TitleRef; addresses are signed for each viewer, so
the one told here only stands for it in what is shared.
"""

from __future__ import annotations

from services.providers.base import Provider, ProviderInfo, Source, SourceType, TitleRef

KEY = "library"


class Library(Provider):
    calls_out = False

    def __init__(self) -> None:
        super().__init__(ProviderInfo(KEY, "Library", priority=1))

    async def sources(self, title: TitleRef) -> list[Source]:
        """The quality is left unknown: the playlist is adaptive, the player chooses."""
        if not title.in_library:
            return []
        return [self.source(title.id, SourceType.HLS)]
