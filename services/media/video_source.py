"""Film to encode, as inspection describes it: picture, sound, and what has to be mended of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from services.media.languages import UNDETERMINED


class Deinterlacing(Enum):
    """Pictures to deinterlace: those that are flagged, or all, whose flags are wrong."""

    FLAGGED = "flagged"
    ALL_TOP_FIRST = "all, top field first"
    ALL_BOTTOM_FIRST = "all, bottom field first"


class DynamicRange(Enum):
    """Light and colours of a picture; all but SDR have to be mapped to it (ITU-R BT.2100)."""

    SDR = "SDR"
    WIDE = "BT.2020"  # its colours, in the light of SDR
    PQ = "PQ"
    HLG = "HLG"


@dataclass(frozen=True, slots=True)
class AudioSource:
    """Sound track: ffmpeg's name of its stream, such as 0:1, and its language."""

    stream: str
    language: str = UNDETERMINED


@dataclass(frozen=True, slots=True)
class VideoSource:
    """Video to encode; its size is as displayed: upright, with square pixels.

    `video` is ffmpeg's name of the stream, such as 0:0; of `audio` the first is the default, none
    is a silent film. `duration_seconds` is the picture's.
    """

    width: int
    height: int
    frame_rate: Fraction
    duration_seconds: float
    video: str = "0:v:0"
    audio: tuple[AudioSource, ...] = (AudioSource("0:a:0"),)
    deinterlacing: Deinterlacing = Deinterlacing.FLAGGED
    dynamic_range: DynamicRange = DynamicRange.SDR

    @property
    def has_alternative_audio(self) -> bool:
        """Whether viewers can choose their language; sound then has segments of its own."""
        return len(self.audio) > 1
