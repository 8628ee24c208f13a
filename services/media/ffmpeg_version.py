"""Least version of ffmpeg: what reads strangers' files has to have its known holes mended."""

from __future__ import annotations

import re
from pathlib import Path

from services.errors import StartupError
from services.media import ffmpeg

LEAST_VERSION = (8, 1, 2)  # CVE-2026-8461
_LEAST_LIBAVUTIL = 61  # of 9.0, for builds that have no number
_STALL_SECONDS = 30.0


class OldFfmpeg(StartupError):
    """The ffmpeg there is must not read films: it is too old, or does not tell its version."""


async def find_supported_ffmpeg(setting: str | None) -> Path:
    """Find the ffmpeg to run, wherever it comes from, and check its version.

    Args:
        setting: FFMPEG_BINARY, a path or a name on PATH, or None.

    Raises:
        MissingBinary: none was found, or the setting names no executable file.
        OldFfmpeg: it is too old.
        FfmpegFailed: it does not run.
    """
    binary = ffmpeg.find_ffmpeg(setting)
    lines: list[bytes] = []
    await ffmpeg.read(binary, ["-version"], lines.extend, stall_seconds=_STALL_SECONDS)
    require_version(b"\n".join(lines).decode(errors="replace"), binary)
    return binary


def require_version(output: str, binary: Path) -> None:
    """Check what `ffmpeg -version` writes.

    Raises:
        OldFfmpeg: it is older than the least version, or is not ffmpeg's.
    """
    release = re.match(r"ffmpeg version n?(\d+)\.(\d+)(?:\.(\d+))?(?!\d)", output)
    library = re.search(r"^libavutil +(\d+)\.", output, re.MULTILINE)
    if release is not None:
        is_supported = tuple(int(part or 0) for part in release.groups()) >= LEAST_VERSION
    else:  # a build between releases is called by its date or commit
        is_supported = library is not None and int(library[1]) >= _LEAST_LIBAVUTIL
    if not is_supported:
        version = release[0].split()[-1] if release is not None else "of an unknown version"
        least = ".".join(map(str, LEAST_VERSION))
        raise OldFfmpeg(
            f"{binary} is ffmpeg {version}, and reading films takes {least} or newer: install the "
            "extra (pip install '.[media]'), or set FFMPEG_BINARY to a newer one."
        )
