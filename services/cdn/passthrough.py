"""Images are served by the API itself, or by a CDN in front of it that is not told of changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from services.cdn.base import (
    DEFAULT_QUALITY,
    Cdn,
    ImageFormat,
    StaleContent,
    Variant,
    is_absolute_url,
    quote_path,
)


@dataclass(frozen=True)
class Passthrough(Cdn):
    """`base` is the public address, without a slash at its end."""

    base: str
    can_purge = False

    def _address(self, path: str, variant: Variant) -> str:
        if is_absolute_url(path):
            return path
        return self.base + quote_path(path) + build_query(variant)

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Nobody keeps anything longer than its headers say."""


@lru_cache(maxsize=1024)
def build_query(variant: Variant) -> str:
    """What is left at its default is not in it."""
    parameters = {
        "w": variant.width,
        "h": variant.height,
        "q": variant.quality if variant.quality != DEFAULT_QUALITY else None,
        "f": variant.format.value.lower() if variant.format is not ImageFormat.AUTO else None,
    }
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"?{query}" if query else ""
