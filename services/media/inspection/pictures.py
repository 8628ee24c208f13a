"""Choice of a film's picture among a file's video streams, and the light it is made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.media.errors import IngestRefused, NotAVideo
from services.media.inspection.description import Description, StreamDescription
from services.media.inspection.packets import StreamPackets
from services.media.video_source import DynamicRange

_STILLS = ("attached pic", "still image", "timed thumbnails")
_AS_LONG = 0.98  # of the longest one's length
_LEAST_RATE = 3.0  # below are slides and chapter pictures, unless there is nothing else
_TRANSFERS = {"smpte2084": DynamicRange.PQ, "arib-std-b67": DynamicRange.HLG}


def list_pictures(description: Description, name: str) -> list[StreamDescription]:
    """List the streams that may be the film: no cover, no thumbnails.

    Args:
        name: the file as error messages call it.

    Raises:
        NotAVideo: there are none.
    """
    streams = description.of_kind("Video")
    pictures = [each for each in streams if each.size and not each.has_flag(*_STILLS)]
    if not pictures:
        raise NotAVideo(f"{name} is not a video that ffmpeg can read.")
    return pictures


def choose_picture(
    pictures: Sequence[StreamDescription], packets: Mapping[str, StreamPackets], name: str
) -> StreamDescription:
    """Choose the longest stream that moves; of several as long, the default, then the largest.

    Raises:
        NotAVideo: none has more than one picture.
    """
    moving = [each for each in pictures if len(packets[each.name].times) > 1]
    if not moving:
        raise NotAVideo(f"{name} does not hold more than one picture: it is not a film.")
    quick = [each for each in moving if _rate(packets[each.name]) >= _LEAST_RATE]
    longest = max(packets[each.name].seconds for each in quick or moving)
    candidates = [
        each for each in quick or moving if packets[each.name].seconds >= _AS_LONG * longest
    ]
    return max(candidates, key=_weight)


def read_dynamic_range(picture: StreamDescription, name: str) -> DynamicRange:
    """Read the light that a picture is made for.

    Raises:
        IngestRefused: it is Dolby Vision without a layer for other screens (profile 5).
    """
    if "DOVI configuration record" in picture.details and "profile: 5" in picture.details:
        raise IngestRefused(
            f"{name} is Dolby Vision of profile 5, whose colours only its own players know: "
            "convert it to HDR10 or SDR first."
        )
    for transfer, value in _TRANSFERS.items():
        if transfer in picture.line:
            return value
    return DynamicRange.WIDE if "bt2020" in picture.line else DynamicRange.SDR


def _rate(packets: StreamPackets) -> float:
    return len(packets.times) / packets.seconds if packets.seconds else 0.0


def _weight(stream: StreamDescription) -> tuple[bool, int]:
    width, height = stream.display_size
    return stream.has_flag("default"), width * height
