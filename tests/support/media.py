"""Small films that tests draw with ffmpeg, as a camera or an archive would hand them in."""

from __future__ import annotations

from pathlib import Path

from services.media import ffmpeg

FFMPEG = ffmpeg.find_ffmpeg(None)


async def make_clip(
    file: Path,
    *,
    size: str = "320x180",
    seconds: float = 3,
    rate: str = "30",
    has_audio: bool = True,
    extra: tuple[str, ...] = (),
) -> Path:
    """A moving test picture and a tone; `extra` are options of ffmpeg before the file's name."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    sound = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"] if has_audio else []
    encoding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    await ffmpeg.run(FFMPEG, [*picture, *sound, *encoding, *extra, str(file)], folder=file.parent)
    return file
