"""Interface of a CDN: URLs of images in a requested size, and purging of stale content.

Widths climb a ladder, so that a cache in front sees few variants of one image.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from typing import TypeVar
from urllib.parse import quote

from services.cdn.remote_images import remote_image
from services.cdn.tags import Line, TagRules
from services.errors import StartupError, ValidationFailed
from services.http_client import is_web_address

T = TypeVar("T")
# instead of what the answer would have: a cache that could not be purged must not keep it
_NOT_CACHED = ((b"cache-control", b"no-store"), (b"cdn-cache-control", b"no-store"))
WIDTHS = (185, 342, 500, 780, 1280)
DEFAULT_QUALITY = 80
_CACHED_ADDRESSES = 10_000  # a few hundred bytes each
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]+", re.ASCII)  # needs no quoting


class ImageFormat(Enum):
    """File format of an image; AUTO: the best one the browser accepts."""

    AUTO = "AUTO"
    AVIF = "AVIF"
    WEBP = "WEBP"
    JPEG = "JPEG"
    PNG = "PNG"


@dataclass(frozen=True, slots=True)
class Variant:
    """Variant of an image; `width` is a step of the ladder."""

    width: int | None
    height: int | None
    quality: int
    format: ImageFormat


@dataclass(frozen=True, slots=True)
class StaleContent:
    """Content that a CDN has to drop.

    Answers by tag; images by path, or by absolute URL of one from elsewhere; both by path prefix.
    """

    tags: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()

    def __or__(self, other: StaleContent) -> StaleContent:
        return StaleContent(
            self.tags | other.tags, self.paths | other.paths, self.prefixes | other.prefixes
        )

    def __bool__(self) -> bool:
        return bool(self.tags or self.paths or self.prefixes)


class Cdn(ABC):
    """Adapter of a CDN, one object per process."""

    can_purge = True  # of changes; False: there is nobody to ask
    resizes_remote_images = False
    tag_rules: TagRules | None = None  # None: it knows no tags

    @abstractmethod
    def _address(self, path: str, variant: Variant) -> str: ...

    @abstractmethod
    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Purge all of `stale`; purging twice is harmless.

        Args:
            reference: id of this purge; a retry passes the same one.

        Raises:
            PurgeFailed: some of it may not be dropped.
        """

    def render_tags(self, tags: Iterable[str]) -> Sequence[Line]:
        """Header lines of an answer with these tags; where no form of them fits, none caches it."""
        if self.tag_rules is None:
            return ()
        line = self.tag_rules.render(tags)
        return _NOT_CACHED if line is None else (line,)

    def image_url(
        self,
        path: str,
        *,
        width: int | None = None,
        height: int | None = None,
        quality: int = DEFAULT_QUALITY,
        format: ImageFormat = ImageFormat.AUTO,
    ) -> str:
        """Build the URL of one variant of a path here, or of an absolute URL (https://...).

        Raises:
            ValidationFailed: a size below 1, or a quality outside 1-100.
        """
        return self._cached_address(path, width, height, quality, format)

    @cached_property
    def _cached_address(self) -> Callable[..., str]:
        """Build an address, or get one built before: pages show the same pictures."""
        return lru_cache(maxsize=_CACHED_ADDRESSES)(self._build_address)

    def _build_address(
        self, path: str, width: int | None, height: int | None, quality: int, format: ImageFormat
    ) -> str:
        return self._address(path, build_variant(width, height, quality, format))

    def src_set(
        self,
        path: str,
        widths: Iterable[int] = WIDTHS,
        *,
        quality: int = DEFAULT_QUALITY,
        format: ImageFormat = ImageFormat.AUTO,
    ) -> str:
        """Build HTML's srcset: each address once, with its real width, rising.

        Widths are rounded up to the ladder. An image that has one size for all, or none, such as
        SVG, is one address without a width.
        """
        requested = list(widths)
        validate_variant(min(requested, default=1), None, quality)
        real_widths: dict[str, int] = {}
        for step in sorted({ladder_width(width) for width in requested}):
            address = self.image_url(path, width=step, quality=quality, format=format)
            real_widths.setdefault(address, self._real_width(path, step))
        whole = self.image_url(path, quality=quality, format=format)
        if set(real_widths) == {whole} and remote_image(path, 1) is None:
            return whole
        return ", ".join(f"{address} {width}w" for address, width in real_widths.items())

    def _real_width(self, path: str, step: int) -> int:
        image = None if self.resizes_remote_images else remote_image(path, step)
        return step if image is None else image.width


@lru_cache(maxsize=1024)  # pages ask for many images of one size
def build_variant(
    width: int | None, height: int | None, quality: int, format: ImageFormat
) -> Variant:
    """Build a valid variant, its width on the ladder; raises ValidationFailed."""
    validate_variant(width, height, quality)
    return Variant(ladder_width(width) if width is not None else None, height, quality, format)


def ladder_width(width: int) -> int:
    """Round a width up to a step of the ladder; the widest step for all above."""
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def validate_variant(width: int | None, height: int | None, quality: int) -> None:
    """Validate the size and quality of a variant.

    Raises:
        ValidationFailed: a size below 1, or a quality outside 1-100.
    """
    for name, value in (("width", width), ("height", height)):
        if value is not None and value < 1:
            raise ValidationFailed(f"{name} is at least 1.", path=[name])
    if not 1 <= quality <= 100:
        raise ValidationFailed("quality is from 1 to 100.", path=["quality"])


def is_absolute_url(path: str) -> bool:
    """Say whether an image is from elsewhere: a URL instead of a path."""
    return path.startswith(("https://", "http://"))


def is_svg(path: str) -> bool:
    """Say whether an image is SVG, which scales by itself: no service makes it smaller."""
    return path.partition("?")[0].endswith(".svg")


def quote_path(path: str) -> str:
    """Percent-encode a path where it needs it."""
    return path if _PLAIN.fullmatch(path) else quote(path)


def split_batches(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Split items into batches of `size`, sorted, so that the same items make the same ones."""
    ordered = sorted(items)  # type: ignore[type-var]
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]


def require_setting(setting: str, value: str) -> str:
    """Get a setting's value without spaces around it.

    Raises:
        StartupError: it is not set.
    """
    if not value.strip():
        raise StartupError(f"{setting} is not set: the chosen CDN_PROVIDER needs it.")
    return value.strip()


def require_address(setting: str, value: str) -> str:
    """Get a setting's URL without a slash at its end.

    Raises:
        StartupError: it is not set, or no address.
    """
    address = require_setting(setting, value).rstrip("/")
    if not is_web_address(address):
        raise StartupError(f"{setting} is not an address that starts with https://.")
    return address
