"""Our own films: signed addresses for who is signed in, and what lies behind them.

The address carries the right, so players need no header; it ends with its expiry or its sign-in.
An anonymous viewer gets no address, and no error either: `hls` stands beside public fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import models
from resolvers.context import Context
from services.errors import Forbidden, InvalidToken
from services.media import hls
from services.media import profiles as quality_profiles
from services.media.library import OpenedFile, TitleMedia
from services.media.manifest import Media, Rendition
from services.media.profiles import PROFILES, QualityProfile

_VARIANTS = ("variants", "")


@dataclass(frozen=True, slots=True)
class HlsStream:
    """`variants`: the finest first."""

    master_playlist_url: str
    expires_at: datetime
    variants: list[QualityProfile]


@dataclass(frozen=True, slots=True)
class Playlist:
    body: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class OpenedMedia:
    """What an address leads to; good for so many seconds more."""

    content: Playlist | OpenedFile
    seconds_left: int


async def streams_of_titles(
    context: Context, titles: Sequence[models.MovieRecord | models.EpisodeRecord]
) -> list[HlsStream | None]:
    """One trip to the disk for all; None for titles that are not here.

    Raises:
        UpstreamUnavailable: the disk does not answer.
    """
    if context.viewer is None:
        return [None] * len(titles)
    login_id = context.viewer.login_id
    found = await context.runtime.media.library.titles(title.id for title in titles)
    return [
        _stream(context, login_id, title.id, found[title.id]) if title.id in found else None
        for title in titles
    ]


async def open_signed_url(
    context: Context, token: str, title_id: str, path: str
) -> OpenedMedia | None:
    """The playlist or file at `path`; None if the title has none there.

    Raises:
        InvalidToken: the token is forged, expired, of another title, or its sign-in has ended.
        Forbidden: who asks is signed in, and not as who the address was made for.
        UpstreamUnavailable: the disk does not answer.
    """
    runtime = context.runtime
    now = runtime.clock()
    grant = runtime.media.addresses.verify(token, title_id, context.client_address, now)
    if context.viewer is not None and context.viewer.login_id != grant.login_id:
        raise Forbidden("This address was made for another sign-in.")
    if await runtime.media.is_revoked(grant.login_id):
        raise InvalidToken("The sign-in this address was made for has ended.")
    title = await runtime.media.library.title(title_id)
    if title is None:
        return None
    content = _playlist(title, path) or await runtime.media.library.open(title, path)
    return OpenedMedia(content, int(grant.expires_at - now)) if content is not None else None


def profiles() -> list[QualityProfile]:
    return list(PROFILES)


def recommend_profile(bandwidth_mbps: float) -> QualityProfile:
    """Raises:
    ValidationFailed: no such bandwidth.
    """
    return quality_profiles.recommend_profile(bandwidth_mbps)


def _stream(context: Context, login_id: str, title_id: str, title: TitleMedia) -> HlsStream:
    runtime = context.runtime
    signed = runtime.media.addresses.sign(
        title_id, login_id, context.client_address, runtime.clock()
    )
    base = runtime.settings.public_address
    return HlsStream(
        f"{base}/media/{signed.token}/{title_id}/{hls.MULTIVARIANT}",
        datetime.fromtimestamp(signed.expires_at, UTC),
        _variants(title),
    )


def _variants(title: TitleMedia) -> list[QualityProfile]:
    """Measured once per index: it adds up every segment."""
    kept: list[QualityProfile] | None = title.made.get(_VARIANTS)
    if kept is None:
        made = map(_profile, title.media.renditions)
        kept = title.made[_VARIANTS] = sorted(made, key=lambda one: -one.bandwidth)
    return kept


def _profile(rendition: Rendition) -> QualityProfile:
    return QualityProfile(
        quality=quality_profiles.nearest_quality(rendition.width, rendition.height),
        width=rendition.width,
        height=rendition.height,
        bandwidth=hls.peak_bits_per_second(rendition.segments),
        video_bitrate=rendition.video_bitrate,
        audio_bitrate=rendition.audio_bitrate,
        codecs=rendition.codecs,
        frame_rate=rendition.frame_rate,
    )


def _playlist(title: TitleMedia, path: str) -> Playlist | None:
    key = ("playlist", path)
    kept: Playlist | None = title.made.get(key)
    if kept is None:
        text = _write_playlist(title.media, path)
        if text is None:
            return None
        body = text.encode()
        tag = hashlib.blake2b(body, digest_size=12).hexdigest()
        kept = title.made[key] = Playlist(body, tag)
    return kept


def _write_playlist(media: Media, path: str) -> str | None:
    if path == hls.MULTIVARIANT:
        return hls.multivariant_playlist(media)
    for rendition in media.renditions:
        if path == f"{rendition.name}/{hls.MEDIA_PLAYLIST}":
            return hls.media_playlist(rendition)
    for subtitles in media.subtitles:
        if path == hls.subtitles_path(subtitles):
            return hls.subtitles_playlist(subtitles)
    return None
