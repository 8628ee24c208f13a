"""HLS of titles hosted here: the stream of a title, and its encoding profiles."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.extension import extend
from graph.base.fields import batched, plain, resolver
from graph.base.freshness import CONSTANT
from graph.base.info import Info
from graph.base.quality import Quality
from graph.base.roots import Query
from graph.base.scalars import URL, DateTime
from graph.catalog.catalog import Playable
from resolvers.sources import hls
from services.media.profiles import QualityProfile as Profile


@strawberry.type(description="An encoding profile of films hosted here.")
class QualityProfile:
    quality: Quality = plain("Picture quality of the profile.")
    width: int = plain("Width in pixels.")
    height: int = plain("Height in pixels.")
    bandwidth: int = plain("Peak bit rate of video and audio together, in bits per second.")
    video_bitrate: int = plain("Video bit rate in bits per second.")
    audio_bitrate: int = plain("Audio bit rate in bits per second.")
    frame_rate: float | None = plain("Frames per second; null keeps the film's own frame rate.")
    codecs: str = plain("Codecs in the format of RFC 6381, such as avc1.640028,mp4a.40.2.")


@strawberry.type(description="An adaptive stream (HLS) of a title hosted here.")
class HlsStream:
    master_playlist_url: URL = plain(
        "URL of the master playlist. It is signed for this viewer: whoever "
        "has it can watch, so do not share it."
    )
    expires_at: DateTime = plain("When the signed URL, and every URL within the playlist, expires.")
    variants: list[QualityProfile] = plain("Available qualities, highest first.")


async def _hls(
    titles: strawberry.Parent[list[models.MovieRecord | models.EpisodeRecord]], info: Info
) -> list[hls.HlsStream | None]:
    return await hls.streams_of_titles(info.context, titles)


@extend(Playable)
class TitleHls:
    """Fields of films and episodes about HLS."""

    hls: HlsStream | None = batched(
        _hls,
        "HLS stream of the copy hosted here; null if there is none, or if nobody is signed in.",
        needs=["id"],
        is_private=True,
    )


async def _quality_profiles(info: Info) -> list[Profile]:
    return hls.profiles()


async def _recommended_quality(
    info: Info,
    bandwidth_mbps: Annotated[
        float,
        strawberry.argument(description="Measured bandwidth in megabits per second, such as 12.5."),
    ],
) -> Profile:
    return hls.recommend_profile(bandwidth_mbps)


@extend(Query)
class HlsQuery:
    quality_profiles: list[QualityProfile] | None = resolver(
        _quality_profiles,
        "Encoding profiles of films hosted here, highest quality first.",
        assumed_size=4,
        freshness=CONSTANT,
    )
    recommended_quality: QualityProfile | None = resolver(
        _recommended_quality,
        "The highest quality that a connection can carry. Measure the "
        "bandwidth with /bandwidth-test.",
        freshness=CONSTANT,
    )
