"""Images of TMDb, which are elsewhere in a few fixed sizes: the size is a part of the URL's path.

Its kind is known by the size that imports store (services/tmdb/types.py).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_URL = re.compile(r"(?P<base>https://[^/]+/t/p/)(?P<size>[wh]\d+)(?P<file>/[^/]+)")
_WIDTHS = {
    "w780": {"w185": 185, "w342": 342, "w500": 500, "w780": 780},  # posters
    "w1280": {"w300": 300, "w780": 780, "w1280": 1280},  # backdrops
    "h632": {"w185": 185, "h632": 421},  # people, 2:3
    "w300": {"w185": 185, "w300": 300},  # stills
}


class RemoteImage(NamedTuple):
    """URL of one size, with its width in pixels."""

    url: str
    width: int


@lru_cache(maxsize=1024)  # pages ask for many images of one size
def remote_image(url: str, width: int) -> RemoteImage | None:
    """The smallest size of at least this width, else the largest; None: not one of TMDb's."""
    match = _URL.fullmatch(url)
    sizes = _WIDTHS.get(match["size"]) if match else None
    if match is None or sizes is None:
        return None
    size = next((name for name, pixels in sizes.items() if pixels >= width), list(sizes)[-1])
    return RemoteImage(match["base"] + size + match["file"], sizes[size])


def remote_url(url: str, width: int | None) -> str:
    """URL of the size for this width; the URL itself where no other size is known."""
    image = remote_image(url, width) if width is not None else None
    return url if image is None else image.url
