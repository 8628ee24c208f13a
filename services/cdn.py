"""Addresses of images. `passthrough`: the API serves them itself, or a CDN in front of it does.

Widths climb a ladder, so that a cache in front sees few variants of one image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import quote, urlencode

from services.errors import StartupError, ValidationFailed
from services.settings import Settings

WIDTHS = (185, 342, 500, 780, 1280)
_DEFAULT_QUALITY = 80
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]+", re.ASCII)  # needs no quoting


class ImageFormat(Enum):
    AUTO = "AUTO"
    AVIF = "AVIF"
    WEBP = "WEBP"
    JPEG = "JPEG"
    PNG = "PNG"


def poster_path(title_id: str) -> str:
    return f"/art/posters/{title_id}.svg"


def backdrop_path(title_id: str) -> str:
    return f"/art/backdrops/{title_id}.svg"


@dataclass(frozen=True, slots=True)
class Passthrough:
    """`base` is the public address, without a slash at its end."""

    base: str

    def image_url(
        self,
        path: str,
        *,
        width: int | None = None,
        height: int | None = None,
        quality: int = _DEFAULT_QUALITY,
        format: ImageFormat = ImageFormat.AUTO,
    ) -> str:
        """The address of one variant; what is left at its default is not in it.

        A path that is a whole address already (https://...) is returned as it is.

        Raises:
            ValidationFailed: a size below 1, or a quality outside 1-100.
        """
        query = _query(width, height, quality, format)
        if path.startswith(("https://", "http://")):
            return path
        return f"{self.base}{path if _PLAIN.fullmatch(path) else quote(path)}{query}"

    def src_set(
        self,
        path: str,
        widths: Iterable[int] = WIDTHS,
        *,
        quality: int = _DEFAULT_QUALITY,
        format: ImageFormat = ImageFormat.AUTO,
    ) -> str:
        """HTML's srcset: each width once, rising, as its rung of the ladder."""
        asked = list(widths)
        _check(min(asked, default=1), None, quality)
        addresses = [
            (self.image_url(path, width=width, quality=quality, format=format), width)
            for width in sorted({rung(width) for width in asked})
        ]
        return ", ".join(f"{address} {width}w" for address, width in addresses)


def open_cdn(settings: Settings) -> Passthrough:
    """The adapter CDN_PROVIDER names.

    Raises:
        StartupError: there is no such adapter.
    """
    if settings.cdn_provider != "passthrough":
        raise StartupError(f"CDN_PROVIDER {settings.cdn_provider!r} is unknown: use passthrough.")
    return Passthrough(settings.public_address)


@lru_cache(maxsize=1024)  # pages ask for many images of one size
def _query(width: int | None, height: int | None, quality: int, format: ImageFormat) -> str:
    _check(width, height, quality)
    wanted = {
        "w": rung(width) if width is not None else None,
        "h": height,
        "q": quality if quality != _DEFAULT_QUALITY else None,
        "f": format.value.lower() if format is not ImageFormat.AUTO else None,
    }
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    return f"?{query}" if query else ""


def rung(width: int) -> int:
    """The narrowest step that is wide enough; the widest one for all above."""
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def _check(width: int | None, height: int | None, quality: int) -> None:
    for name, value in (("width", width), ("height", height)):
        if value is not None and value < 1:
            raise ValidationFailed(f"{name} is at least 1.", path=[name])
    if not 1 <= quality <= 100:
        raise ValidationFailed("quality is from 1 to 100.", path=["quality"])
