"""Our own films: signed URLs for signed-in viewers, and the playlists and files behind them.

A URL carries the right to play, so players need no header; it ends with its lifetime or its
sign-in. An anonymous viewer gets no URL, and no error either: `hls` is a field beside public ones.
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
    """A title's stream for one viewer; `variants` are sorted by bandwidth, highest first."""

    master_playlist_url: str
    expires_at: datetime
    variants: list[QualityProfile]


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist's text as bytes, and its entity tag without quotes."""

    body: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class OpenedMedia:
    """What a signed URL leads to, and for how many more seconds the URL is valid."""

    content: Playlist | OpenedFile
    remaining_seconds: int


async def streams_of_titles(
    context: Context, titles: Sequence[models.MovieRecord | models.EpisodeRecord]
) -> list[HlsStream | None]:
    """One stream for each title, in order; None for titles the library does not have.

    One trip to the disk for all.

    Raises:
        UpstreamUnavailable: the disk does not answer.
    """
    if context.viewer is None:
        return [None] * len(titles)
    login_id = context.viewer.login_id
    media_by_id = await context.runtime.sources.media.library.titles(title.id for title in titles)
    return [
        _stream(context, login_id, title.id, media_by_id[title.id])
        if title.id in media_by_id
        else None
        for title in titles
    ]


async def open_signed_url(
    context: Context, token: str, title_id: str, path: str
) -> OpenedMedia | None:
    """Open the playlist or file at `path` of a title; None if there is none.

    Raises:
        InvalidToken: the token is forged, expired or another title's, or its sign-in has ended.
        Forbidden: the viewer is signed in by another sign-in than the URL was made for.
        UpstreamUnavailable: the disk does not answer.
    """
    runtime = context.runtime
    now = runtime.clock()
    grant = runtime.sources.media.addresses.verify(token, title_id, context.client_address, now)
    if context.viewer is not None and context.viewer.login_id != grant.login_id:
        raise Forbidden("This address was made for another sign-in.")
    if await runtime.sources.media.is_revoked(grant.login_id):
        raise InvalidToken("The sign-in this address was made for has ended.")
    title = await runtime.sources.media.library.title(title_id)
    if title is None:
        return None
    content = _playlist(title, path) or await runtime.sources.media.library.open(title, path)
    return OpenedMedia(content, int(grant.expires_at - now)) if content is not None else None


def profiles() -> list[QualityProfile]:
    """All quality profiles of the encoding ladder."""
    return list(PROFILES)


def recommend_profile(bandwidth_mbps: float) -> QualityProfile:
    """The best quality profile for a bandwidth in Mbit/s.

    Raises:
        ValidationFailed: the bandwidth is not a possible one.
    """
    return quality_profiles.recommend_profile(bandwidth_mbps)


def _stream(context: Context, login_id: str, title_id: str, title: TitleMedia) -> HlsStream:
    runtime = context.runtime
    signed = runtime.sources.media.addresses.sign(
        title_id, login_id, context.client_address, runtime.clock()
    )
    return HlsStream(
        f"{runtime.settings.public_path}/media/{signed.token}/{title_id}/{hls.MULTIVARIANT}",
        datetime.fromtimestamp(signed.expires_at, UTC),
        _variants(title),
    )


def _variants(title: TitleMedia) -> list[QualityProfile]:
    """The title's variants, computed once per index: that adds up every segment."""
    cached: list[QualityProfile] | None = title.derived.get(_VARIANTS)
    if cached is None:
        audio = hls.audio_peak_bits_per_second(title.media)
        derived = [_profile(rendition, audio) for rendition in title.media.renditions]
        cached = title.derived[_VARIANTS] = sorted(derived, key=lambda one: -one.bandwidth)
    return cached


def _profile(rendition: Rendition, separate_audio: int) -> QualityProfile:
    return QualityProfile(
        quality=quality_profiles.nearest_quality(rendition.width, rendition.height),
        width=rendition.width,
        height=rendition.height,
        bandwidth=hls.peak_bits_per_second(rendition.segments) + separate_audio,
        video_bitrate=rendition.video_bitrate,
        audio_bitrate=rendition.audio_bitrate,
        codecs=rendition.codecs,
        frame_rate=rendition.frame_rate,
    )


def _playlist(title: TitleMedia, path: str) -> Playlist | None:
    """The playlist at `path`, written once per index; None if no playlist is there."""
    key = ("playlist", path)
    cached: Playlist | None = title.derived.get(key)
    if cached is None:
        text = _write_playlist(title.media, path)
        if text is None:
            return None
        body = text.encode()
        tag = hashlib.blake2b(body, digest_size=12).hexdigest()
        cached = title.derived[key] = Playlist(body, tag)
    return cached


def _write_playlist(media: Media, path: str) -> str | None:
    if path == hls.MULTIVARIANT:
        return hls.multivariant_playlist(media)
    for one in media.tracks:
        if path == f"{one.name}/{hls.MEDIA_PLAYLIST}":
            return hls.media_playlist(one)
    for subtitles in media.subtitles:
        if path == hls.subtitles_path(subtitles):
            return hls.subtitles_playlist(subtitles)
    return None
