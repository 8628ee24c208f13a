"""ffmpeg's description of a file as data: its length and its streams.

The wheel brings no ffprobe, so this is the text that ffmpeg writes of an input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LENGTH = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
_STREAM = re.compile(
    r"^ {2,4}Stream #(0:\d+)(?:\[0x\w+\])?(?:\(([^()\n]*)\))?: (\w+): (.*)$", re.MULTILINE
)
_SIZE = re.compile(r", (\d{1,5})x(\d{1,5})(?=[ ,]|$)")
_PIXEL = re.compile(r"\bSAR (\d+):(\d+)")
_RATE = re.compile(r", ([\d.]+)(k?) (?:fps|tbr)")
_ROTATION = re.compile(r"rotation of (-?[\d.]+) degrees")
_TITLE = re.compile(r"^ {4,}(?:title|handler_name|name) *: (.*)$", re.MULTILINE)
_ESTIMATED = "Estimating duration from bitrate"


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """Stream of a file; `line` is ffmpeg's on it, `details` what follows up to the next one."""

    name: str  # as ffmpeg calls it: 0:1
    kind: str  # Video, Audio, Subtitle, ...
    language: str | None
    line: str
    details: str

    @property
    def codec(self) -> str:
        """Name of the codec: h264, aac, mov_text."""
        return re.split(r"[ ,]", self.line, maxsplit=1)[0]

    @property
    def titles(self) -> str:
        """What its author calls it; empty if nothing."""
        return " ".join(_TITLE.findall(self.details))

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height as stored."""
        match = _SIZE.search(self.line)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def display_size(self) -> tuple[int, int]:
        """Size with square pixels, and upright: telephones film lying and note how to turn it."""
        width, height = self.size or (0, 0)
        pixel, rotation = _PIXEL.search(self.line), _ROTATION.search(self.details)
        if pixel and int(pixel[1]) and int(pixel[2]):
            width = round(width * int(pixel[1]) / int(pixel[2]))
        if rotation and round(float(rotation[1]) / 90) % 2:
            return height, width
        return width, height

    @property
    def frame_rate(self) -> float | None:
        """Mean number of pictures a second, as far as ffmpeg knows it."""
        match = _RATE.search(self.line)
        return float(match[1]) * (1000 if match[2] else 1) if match else None

    def has_flag(self, *flags: str) -> bool:
        """Say whether one of these dispositions is set: default, forced, attached pic, ..."""
        return any(f"({flag})" in self.line for flag in flags)


@dataclass(frozen=True, slots=True)
class Description:
    """Streams of a file, and its length where the container tells one."""

    streams: list[StreamDescription]
    declared_seconds: float | None

    def of_kind(self, kind: str) -> list[StreamDescription]:
        """List the streams of a kind, in the file's order; those of no known codec are left out."""
        return [each for each in self.streams if each.kind == kind and each.codec != "none"]


def parse_description(text: str) -> Description:
    """Parse what ffmpeg writes of one input."""
    length = _LENGTH.search(text)
    seconds = None
    if length is not None and _ESTIMATED not in text:
        seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])
    return Description(list(_streams(text)), seconds)


def _streams(text: str) -> Iterator[StreamDescription]:
    matches = list(_STREAM.finditer(text))
    ends = [match.start() for match in matches[1:]]
    for match, end in zip(matches, [*ends, len(text)], strict=False):
        name, language, kind, line = match.groups()
        yield StreamDescription(name, kind, language, line, text[match.start() : end])
