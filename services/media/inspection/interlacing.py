"""Interlacing of a picture, flagged or not: some seconds of it are decoded and looked at.

Two measures have to agree, because each alone is deceived by some pictures: how the lines of
neighbouring pictures fit into each other (ffmpeg's idet), and whether the two fields of a picture
differ as much as fields of different pictures do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from services.media import ffmpeg
from services.media.video_source import Deinterlacing

_SAMPLE_SECONDS = 4.0
_SAMPLE_PLACES = (0.15, 0.5, 0.85)  # of the length
_COMBED_PART = 0.2  # of the pictures; 3:2 pulldown combs two of five
_LEAST_COMBED = 4
_MOVES = 1.15  # times the difference within a picture is the least between two
_APART = 0.65  # of the difference between pictures is one between fields of different instants
_COUNTS = re.compile(r"Multi frame detection: TFF: *(\d+) BFF: *(\d+) Progressive: *(\d+)")
_DIFFERENCE = re.compile(rb"lavfi\.signalstats\.YAVG=([\d.]+)")


@dataclass(frozen=True, slots=True)
class PictureSample:
    """Part of a film's picture; `start` and `length` are in seconds."""

    file: Path
    stream: str
    start: float
    length: float

    def arguments(self, filters: str) -> list[str]:
        """Build ffmpeg's arguments that pass the sample through filters and write nothing."""
        cut = ["-ss", f"{self.start:.3f}", "-t", f"{self.length:.3f}"]
        source = [*cut, *ffmpeg.input_arguments(self.file), "-map", self.stream]
        return ["-loglevel", "info", *source, "-vf", filters, "-f", "null", "-"]


async def detect_interlacing(
    binary: Path, file: Path, stream: str, seconds: float
) -> Deinterlacing:
    """Look for combed pictures at three places of a film, or in all of a short one.

    Returns:
        What to do with pictures: all of them where they are combed, else those that are flagged.

    Raises:
        FfmpegFailed: the film cannot be decoded there, or stands still.
    """
    samples = [PictureSample(file, stream, *place) for place in _places(seconds)]
    counts = [await _count_combed(binary, sample) for sample in samples]
    top, bottom, progressive = (sum(numbers) for numbers in zip(*counts, strict=True))
    combed = top + bottom
    if combed < max(_LEAST_COMBED, _COMBED_PART * (combed + progressive)):
        return Deinterlacing.FLAGGED
    order = "tff" if top >= bottom else "bff"
    fields = f"setfield={order},separatefields"
    between_fields = [each for one in samples for each in await _differences(binary, one, fields)]
    between_pictures = [each for one in samples for each in await _differences(binary, one, "null")]
    if not has_fields_apart(between_fields, between_pictures):
        return Deinterlacing.FLAGGED
    return Deinterlacing.ALL_TOP_FIRST if order == "tff" else Deinterlacing.ALL_BOTTOM_FIRST


def has_fields_apart(between_fields: Sequence[float], between_pictures: Sequence[float]) -> bool:
    """Say whether fields of one picture are of different instants.

    Fine lines make the fields of one instant differ as well; then too little moves from picture to
    picture to explain it.

    Args:
        between_fields: of each field to the next, so that every second one is between pictures.
        between_pictures: of each picture to the next.
    """
    within, across = between_fields[0::2], between_fields[1::2]
    if not between_pictures or fmean(between_pictures) < _MOVES * fmean(within):
        return False
    apart = sum(one > _APART * other for one, other in zip(within, across, strict=False))
    return apart >= max(_LEAST_COMBED, _COMBED_PART * len(across))


def _places(seconds: float) -> list[tuple[float, float]]:
    if seconds <= len(_SAMPLE_PLACES) * _SAMPLE_SECONDS:
        return [(0.0, seconds)]
    return [(seconds * place - _SAMPLE_SECONDS / 2, _SAMPLE_SECONDS) for place in _SAMPLE_PLACES]


async def _count_combed(binary: Path, sample: PictureSample) -> tuple[int, int, int]:
    """Numbers of pictures: combed with the top field first, with the bottom one, and whole."""
    matches = _COUNTS.findall(await ffmpeg.read(binary, sample.arguments("idet")))
    top, bottom, progressive = map(int, matches[-1]) if matches else (0, 0, 0)
    return top, bottom, progressive


async def _differences(binary: Path, sample: PictureSample, filters: str) -> list[float]:
    """Mean differences of brightness between each field or picture and the next."""
    values: list[float] = []

    def take(lines: list[bytes]) -> None:
        values.extend(float(match[1]) for match in map(_DIFFERENCE.search, lines) if match)

    report = "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"
    graph = f"format=yuv420p,{filters},tblend=all_mode=difference,{report}"
    await ffmpeg.read(binary, sample.arguments(graph), take)
    return values
