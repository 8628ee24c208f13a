"""`python -m server ingest`: encode a film from a file into our library; needs no database."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from models.mongo import ids
from server import serving
from server.commands.options import load_settings
from server.commands.progress_bar import ProgressBar
from services.errors import StartupError
from services.media import hls
from services.media.ffmpeg_version import find_supported_ffmpeg
from services.media.ingest import Encoder, Ingested, ingest, probe_film
from services.media.ladder import SegmentType
from services.media.languages import canonical_tag
from services.settings.settings import Settings

app = typer.Typer()

_PLAYABLE = ("movie", "episode")


async def run(
    settings: Settings,
    file: Path,
    title_id: str,
    subtitles: Sequence[str],
    segments: SegmentType,
    *,
    force: bool,
) -> None:
    """Encode a film and print the result.

    Raises:
        StartupError: an argument is invalid, or the film cannot be encoded; nothing was changed.
    """
    if ids.kind_of(title_id) not in _PLAYABLE:
        raise StartupError(f"{title_id!r} is not the id of a film or an episode: movie_...")
    files = _parse_subtitles(subtitles)
    binary = await find_supported_ffmpeg(settings.ffmpeg_binary)
    encoder = Encoder(binary, preset=settings.ingest_preset)
    film = await probe_film(encoder, file, files, segments)
    folder = settings.data_dir / "media" / title_id
    with ProgressBar() as bar:
        ingested = await ingest(
            encoder,
            film,
            folder,
            progress=lambda done, total: bar("seconds", int(done), int(total)),
            replaces=force,
        )
    sys.stdout.write(_format_result(ingested, folder) + "\n")


def _parse_subtitles(options: Sequence[str]) -> dict[str, Path]:
    """Parse options such as `en=film.en.vtt`, in order: the first is the default."""
    files: dict[str, Path] = {}
    for option in options:
        match = re.fullmatch(r"([A-Za-z0-9-]+)=(.+)", option)
        if match is None:
            raise StartupError(f"--subtitles is a language and a file, such as en={option}.")
        language = canonical_tag(match[1]) or match[1]
        if language in files:
            raise StartupError(f"--subtitles names {language} twice.")
        files[language] = Path(match[2])
    return files


def _format_result(ingested: Ingested, folder: Path) -> str:
    media = ingested.media
    lines = [f"{media.duration_seconds:.0f} s in {folder}"]
    for one in media.renditions:
        peak = hls.peak_bits_per_second(one.segments) // 1000
        lines.append(f"  {one.name:<6} {one.width}x{one.height}  {peak} kbit/s  {one.codecs}")
    lines += [f"  {track.language or '-':<6} sound, {track.label}" for track in media.audio]
    lines += [f"  {track.language:<6} subtitles, {track.name}" for track in media.subtitles]
    lines += [f"  note: {note}" for note in ingested.notes]
    return "\n".join(lines)


@app.command("ingest")
def ingest_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video file.")],
    title: Annotated[str, typer.Option(help="Id of the film or the episode.")],
    subtitles: Annotated[
        list[str], typer.Option(help="Language and WebVTT or SRT file: en=FILE; repeatable.")
    ] = [],  # noqa: B006 - never changed
    segments: Annotated[
        SegmentType, typer.Option(help="fMP4, or MPEG-TS for old players.")
    ] = SegmentType.FMP4,
    force: Annotated[bool, typer.Option(help="Replace what the title plays now.")] = False,
) -> None:
    """Encode a film for our own library: up to 1080p, 720p, 480p and 360p, as HLS."""
    serving.run(run(load_settings(), file, title, subtitles, segments, force=force))
