"""Packets of a file, read once without decoding: real lengths, real rates, and a cut-off end.

What a container tells of its length may be missing or wrong; its packets are what there is.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from services.media import ffmpeg
from services.media.inspection.boxes import ends_early

_ENDS_EARLY = ("File ended prematurely", "partial file", "moov atom not found")
_NO_TIME = -(2**63)  # ffmpeg's "not told"
_MAX_PACKET_SECONDS = 10  # a longer one is a mistake of the container


@dataclass(slots=True)
class StreamPackets:
    """Packets of one stream: when each is shown, in seconds from the film's beginning."""

    times: array[float] = field(default_factory=lambda: array("d"))
    last_seconds: float = 0.0  # of the packet that is shown last; 0 if it is beyond belief
    claimed_end: float = 0.0  # with whatever length each packet says it has

    @property
    def end(self) -> float:
        """Where the stream ends; 0 for one without packets."""
        return max(self.times) + self.last_seconds if self.times else 0.0

    @property
    def seconds(self) -> float:
        """How long it lasts from its first packet on."""
        return self.end - min(self.times) if self.times else 0.0


@dataclass(frozen=True, slots=True)
class FilePackets:
    """Packets of a file by stream, and whether the file's end is missing."""

    streams: dict[str, StreamPackets]
    is_cut_off: bool

    @property
    def end(self) -> float:
        """Where the last stream ends."""
        return max((stream.end for stream in self.streams.values()), default=0.0)

    @property
    def claimed_end(self) -> float:
        """Where it would end if odd lengths were true, as containers compute theirs."""
        return max((stream.claimed_end for stream in self.streams.values()), default=0.0)


async def read_packets(binary: Path, file: Path, names: Sequence[str]) -> FilePackets:
    """Read the packets of these streams, such as 0:1.

    Raises:
        FfmpegFailed: the file cannot be read, or stands still.
    """
    reader = _Reader(names)
    maps = [part for name in names for part in ("-map", name)]
    output = ["-c", "copy", "-f", "framecrc", "pipe:1"]
    arguments = ["-loglevel", "error", *ffmpeg.input_arguments(file), *maps, *output]
    stderr_text = await ffmpeg.read(binary, arguments, reader.take)
    is_cut_off = any(words in stderr_text for words in _ENDS_EARLY) or ends_early(file)
    return FilePackets(dict(zip(names, reader.streams, strict=True)), is_cut_off)


class _Reader:
    """Reader of framecrc: `#tb 0: 1/1000`, then `stream, dts, pts, duration, size, checksum`."""

    def __init__(self, names: Sequence[str]) -> None:
        self.streams = [StreamPackets() for _ in names]
        self._units = [0.001] * len(names)
        self._last = [float("-inf")] * len(names)

    def take(self, lines: list[bytes]) -> None:
        for line in lines:
            if line[:1].isdigit():
                self._packet(line)
            elif line.startswith(b"#tb "):
                place, _, unit = line[4:].decode().partition(": ")
                self._units[int(place)] = float(Fraction(unit))

    def _packet(self, line: bytes) -> None:
        number, dts, pts, duration, _ = line.split(b",", 4)
        place, unit = int(number), self._units[int(number)]
        seconds = (int(dts) if int(pts) == _NO_TIME else int(pts)) * unit
        stream = self.streams[place]
        stream.times.append(seconds)
        length = int(duration) * unit
        stream.claimed_end = max(stream.claimed_end, seconds + length)
        if seconds > self._last[place]:
            self._last[place] = seconds
            stream.last_seconds = length if 0 < length <= _MAX_PACKET_SECONDS else 0.0
