"""Our own films as clients see them: the stream of a title, and the qualities it may come in.

`TitleHls` is what films and episodes get from this domain.
"""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.fields import batched, plain, resolver
from graph.base.info import Info
from graph.base.scalars import URL, DateTime
from graph.sources.quality import Quality
from resolvers.sources import hls
from services.media.profiles import QualityProfile as Profile


@strawberry.type(description="One quality of a film. Bit rates are per second.")
class QualityProfile:
    quality: Quality = plain("Its name.")
    width: int = plain("Pixels across.")
    height: int = plain("Pixels down.")
    bandwidth: int = plain("Bits a connection must carry at its peak, picture and sound together.")
    video_bitrate: int = plain("Bits of picture.")
    audio_bitrate: int = plain("Bits of sound.")
    frame_rate: float | None = plain("Pictures a second; null: as many as the film has.")
    codecs: str = plain("How it is encoded, as RFC 6381 writes it.")


@strawberry.type(description="A film of our own as an adaptive stream (HLS).")
class HlsStream:
    master_playlist_url: URL = plain(
        "What a player opens. Made for this viewer alone: whoever has it can watch."
    )
    expires_at: DateTime = plain("Until when the address and all below it work.")
    variants: list[QualityProfile] = plain("The qualities there are, the finest first.")


async def _hls(
    titles: strawberry.Parent[list[models.MovieRecord | models.EpisodeRecord]], info: Info
) -> list[hls.HlsStream | None]:
    return await hls.streams_of_titles(info.context, titles)


@strawberry.type
class TitleHls:
    """What films and episodes get from this domain."""

    hls: HlsStream | None = batched(
        _hls,
        "Our own copy of it; null if there is none, or if nobody is signed in.",
        needs=["id"],
        is_private=True,
    )


async def _quality_profiles(info: Info) -> list[Profile]:
    return hls.profiles()


async def _recommended_quality(
    info: Info,
    bandwidth_mbps: Annotated[
        float,
        strawberry.argument(description="What the connection carries, in million bits a second."),
    ],
) -> Profile:
    return hls.recommend_profile(bandwidth_mbps)


@strawberry.type
class HlsQuery:
    quality_profiles: list[QualityProfile] = resolver(
        _quality_profiles,
        "The qualities films are made in, the finest first.",
        assumed_size=4,
        max_age_seconds=3600,
    )
    recommended_quality: QualityProfile = resolver(
        _recommended_quality,
        "The finest quality a connection carries; measure it with /bandwidth-test.",
        max_age_seconds=3600,
    )
