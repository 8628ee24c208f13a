"""The clip that every demo film plays."""

from __future__ import annotations

import m3u8
import pytest

from resolvers.catalog.imports import demo_media
from services.embedded.binaries import MissingBinary
from services.media import hls
from services.media.ladder import LADDER
from services.media.library import DEMO, MediaLibrary
from services.settings.settings import Settings


async def test_the_clip_is_made_once_in_all_qualities_with_subtitles(
    settings: Settings, tmp_path: object
) -> None:
    settings = settings.model_copy(update={"data_dir": tmp_path})
    # when it is asked for twice, then it is made once
    assert await demo_media.make_if_missing(settings) is True
    made = (demo_media.folder_of(settings) / "media.json").stat().st_mtime_ns
    assert await demo_media.make_if_missing(settings) is False
    assert (demo_media.folder_of(settings) / "media.json").stat().st_mtime_ns == made
    # and every title without a film of its own plays it, in all four qualities
    library = MediaLibrary(settings.data_dir / "media", fallback=DEMO)
    title = await library.title("movie_51db7af36dc43709b5c8")
    library.close()
    assert title is not None
    master = m3u8.loads(hls.multivariant_playlist(title.media))
    variants = [(one.stream_info.resolution, one.stream_info.bandwidth) for one in master.playlists]
    assert [size for size, _ in variants] == [(rung.width, rung.height) for rung in LADDER[::-1]]
    for (_, bandwidth), rung in zip(variants, LADDER[::-1], strict=True):
        assert 0.6 * rung.bits_per_second < bandwidth <= rung.bits_per_second
    for rendition in title.media.renditions:
        playlist = m3u8.loads(hls.media_playlist(rendition))
        assert [segment.duration for segment in playlist.segments] == [2.0] * 5
    assert [track.language for track in title.media.subtitles] == ["en", "de"]


async def test_a_missing_ffmpeg_is_reported_and_nothing_is_written(
    settings: Settings, tmp_path: object
) -> None:
    settings = settings.model_copy(
        update={"data_dir": tmp_path, "ffmpeg_binary": "/nowhere/ffmpeg"}
    )
    with pytest.raises(MissingBinary, match="FFMPEG_BINARY is '/nowhere/ffmpeg'"):
        await demo_media.make_if_missing(settings)
    assert not (settings.data_dir / "media").exists()
