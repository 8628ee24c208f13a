"""The clip that every demo film plays: a generated picture, ten seconds, all qualities.

Built once by ffmpeg into DATA_DIR/media/demo, with the subtitles of demo/clip.*.vtt.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from resolvers.catalog.imports.demo_files import FOLDER
from services.media.ffmpeg_version import find_supported_ffmpeg
from services.media.ingest import Encoder, Film, ingest
from services.media.library import DEMO, INDEX
from services.media.video_source import AudioSource, VideoSource
from services.settings.settings import Settings

SECONDS = 10
_SEGMENT_SECONDS = 2  # players change quality at segments: five are enough to show it
_NICENESS = 10  # requests of the first clients have priority


def folder_of(settings: Settings) -> Path:
    """The folder of the demo clip."""
    return settings.data_dir / "media" / DEMO


async def make_if_missing(settings: Settings) -> bool:
    """Build the clip unless it exists; True if built, which takes some seconds.

    Raises:
        StartupError: there is no ffmpeg, it failed, or DATA_DIR has no room.
    """
    if (folder_of(settings) / INDEX).exists():
        return False
    binary = await find_supported_ffmpeg(settings.ffmpeg_binary)
    encoder = Encoder(binary, preset="ultrafast", niceness=_NICENESS)
    await ingest(encoder, _clip(), folder_of(settings), replaces=True)
    return True


def _clip() -> Film:
    picture = f"testsrc2=size=1920x1080:rate=30:duration={SECONDS}"
    sound = f"sine=frequency=220:beep_factor=4:sample_rate=48000:duration={SECONDS}"
    return Film(
        VideoSource(1920, 1080, Fraction(30), float(SECONDS), audio=(AudioSource("1:a:0"),)),
        inputs=["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound],
        subtitles={language: FOLDER / f"clip.{language}.vtt" for language in ("en", "de")},
        segment_seconds=_SEGMENT_SECONDS,
    )
