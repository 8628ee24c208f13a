"""The CDN in front of images and answers: addresses, and purging. One adapter a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services import http_client
from services.cdn.base import WIDTHS, Cdn, ImageFormat, StaleContent, ladder_width
from services.cdn.cloudflare import Cloudflare
from services.cdn.cloudfront import CloudFront
from services.cdn.cloudinary import Cloudinary
from services.cdn.fastly import Fastly
from services.cdn.passthrough import Passthrough
from services.cdn.tags import encode_tag
from services.errors import StartupError
from services.http_client import HttpClient
from services.settings.settings import Settings

__all__ = [
    "ALL_ANSWERS",
    "ALL_ART",
    "WIDTHS",
    "Cdn",
    "CloudFront",
    "Cloudflare",
    "Cloudinary",
    "Fastly",
    "ImageFormat",
    "Passthrough",
    "StaleContent",
    "backdrop_path",
    "build_cdn",
    "encode_tag",
    "ladder_width",
    "open_cdn",
    "poster_path",
]  # fmt: skip

ALL_ART, ALL_ANSWERS = "/art/", "/graphql"
_ADAPTERS: dict[str, Callable[[Settings, HttpClient], Cdn]] = {
    "cloudflare": Cloudflare,
    "cloudinary": Cloudinary,
    "aws": CloudFront,
    "fastly": Fastly,
}


def poster_path(title_id: str) -> str:
    """Path of a title's drawn poster."""
    return f"/art/posters/{title_id}.svg"


def backdrop_path(title_id: str) -> str:
    """Path of a title's drawn backdrop."""
    return f"/art/backdrops/{title_id}.svg"


@asynccontextmanager
async def open_cdn(settings: Settings) -> AsyncIterator[Cdn]:
    """Open the adapter that CDN_PROVIDER names.

    Raises:
        StartupError: there is no such adapter, or a setting of it is missing.
    """
    if settings.cdn_provider == "passthrough":  # which calls nobody
        yield build_cdn(settings, http_client.build_unconnected())
        return
    async with http_client.connect(settings.cdn_timeout_seconds) as client:
        yield build_cdn(settings, client)


def build_cdn(settings: Settings, client: HttpClient) -> Cdn:
    """Build the adapter that CDN_PROVIDER names.

    Raises:
        StartupError: there is no such adapter, or a setting of it is missing.
    """
    if settings.cdn_provider == "passthrough":
        return Passthrough(settings.public_path)
    adapter = _ADAPTERS.get(settings.cdn_provider)
    if adapter is None:
        known = "passthrough, " + ", ".join(_ADAPTERS)
        raise StartupError(f"CDN_PROVIDER {settings.cdn_provider!r} is unknown: use {known}.")
    return adapter(settings, client)
