"""Inspection of media files: streams of a source, codecs and completeness of renditions.

Reads ffmpeg's own description (the wheel brings no ffprobe), and the structure of fMP4 and MPEG-TS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.errors import StartupError
from services.media import ffmpeg
from services.media.ladder import VideoSource, choose_frame_rate

AAC = "mp4a.40.2"  # low complexity, the only kind we make (RFC 6381)
_LENGTH = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
_STREAM = re.compile(r"^ {2,4}Stream #(0:\d+)[^:]*: (\w+): (.*)$", re.MULTILINE)
_SIZE = re.compile(r", (\d{1,5})x(\d{1,5})(?=[ ,]|$)")
_PIXEL = re.compile(r"\bSAR (\d+):(\d+)")
_RATE = re.compile(r", ([\d.]+)(k?) (?:fps|tbr)")
_ROTATION = re.compile(r"rotation of (-?[\d.]+) degrees")
_HEAD_BYTES = 64 * 1024
_MAX_SECONDS = 86_400
_TS_PACKET_BYTES = 188


class IngestRefused(StartupError):
    """Refusal of an ingest; nothing of the film is in the library."""


class NotAVideo(IngestRefused):
    """The file cannot be made into renditions; the message says why."""


@dataclass(frozen=True, slots=True)
class _Stream:
    name: str  # as ffmpeg calls it: 0:1
    kind: str
    details: str  # its line, and what follows up to the next stream
    line: str


async def probe(binary: Path, file: Path) -> VideoSource:
    """Describe a video file.

    Raises:
        NotAVideo: no picture, no length, or not a file that ffmpeg can read.
        FfmpegFailed: ffmpeg did not answer in time.
    """
    return parse_source(await ffmpeg.describe(binary, file), file.name)


def parse_source(description: str, name: str) -> VideoSource:
    """Parse ffmpeg's description of a file.

    Args:
        name: the file as error messages call it.

    Raises:
        NotAVideo: no picture, no length, or a length out of range.
    """
    streams = list(_streams(description))
    pictures = [each for each in streams if each.kind == "Video" and _is_film(each)]
    if not pictures:
        raise NotAVideo(f"{name} is not a video that ffmpeg can read.")
    video, length = pictures[0], _LENGTH.search(description)
    size, rate = _SIZE.search(video.line), _RATE.search(video.line)
    if length is None or size is None or rate is None:
        raise NotAVideo(f"{name} does not tell its length or its size: copy it into an MP4 first.")
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])
    if not 0 < seconds <= _MAX_SECONDS:
        raise NotAVideo(
            f"{name} is {seconds:.0f} s long: more than 0 s and at most a day is taken."
        )
    width, height = _display_size(int(size[1]), int(size[2]), video)
    average_rate = float(rate[1]) * (1000 if rate[2] else 1)
    sounds = [each.name for each in streams if each.kind == "Audio"]
    return VideoSource(
        width,
        height,
        choose_frame_rate(average_rate),
        seconds,
        video.name,
        sounds[0] if sounds else None,
    )


def read_codecs(folder: Path, *, has_audio: bool) -> str:
    """Read the RFC 6381 codecs of a rendition's folder from its headers: avc1.64001F,mp4a.40.2

    Raises:
        NotAVideo: there is no H.264 header.
    """
    init = folder / "init.mp4"
    first = init if init.exists() else min(folder.glob("*.ts"))
    with first.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    # Profile, constraints and level are the first bytes of avcC after its version, and of an SPS.
    match = re.search(
        rb"avcC\x01(...)" if first == init else rb"\x00\x00\x01[\x27\x47\x67](...)", head, re.S
    )
    if match is None:
        raise NotAVideo(f"{folder.name} holds no H.264 header.")
    return f"avc1.{match[1].hex().upper()}" + (f",{AAC}" if has_audio else "")


def is_whole(file: Path) -> bool:
    """Say whether a segment or header is complete: ffmpeg does not notice a full disk.

    fMP4 is a row of boxes, each with its length in front; MPEG-TS is packets of 188 bytes.
    """
    size = file.stat().st_size
    if not size:
        return False
    with file.open("rb") as content:
        if file.suffix == ".ts":
            content.seek(size // _TS_PACKET_BYTES * _TS_PACKET_BYTES - _TS_PACKET_BYTES)
            return size % _TS_PACKET_BYTES == 0 and content.read(1) == b"\x47"
        return _end_of_boxes(content, size) == size


def _end_of_boxes(content: BinaryIO, size: int) -> int:
    """Where the last box ends; beyond the file's end, if that was cut (ISO/IEC 14496-12, 4.2)."""
    end = 0
    while end < size:
        content.seek(end)
        head = content.read(16)
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if length < 8:
            return -1
        end += length
    return end


def _streams(description: str) -> Iterator[_Stream]:
    matches = list(_STREAM.finditer(description))
    ends = [match.start() for match in matches[1:]]
    for match, end in zip(matches, [*ends, len(description)], strict=False):
        yield _Stream(match[1], match[2], description[match.start() : end], match[3])


def _is_film(stream: _Stream) -> bool:
    """Neither the cover of an album nor a single picture."""
    return "(attached pic)" not in stream.line and _SIZE.search(stream.line) is not None


def _display_size(width: int, height: int, video: _Stream) -> tuple[int, int]:
    """With square pixels, and upright: telephones film lying and note how to turn it."""
    pixel, rotation = _PIXEL.search(video.line), _ROTATION.search(video.details)
    if pixel and int(pixel[1]) and int(pixel[2]):
        width = round(width * int(pixel[1]) / int(pixel[2]))
    if rotation and round(float(rotation[1]) / 90) % 2:
        return height, width
    return width, height
