"""Segments as ffmpeg wrote them: whether they are complete, and the codecs in their headers.

Reads the structure of fMP4 (ISO/IEC 14496-12) and MPEG-TS (ISO/IEC 13818-1).
"""

from __future__ import annotations

import re
from pathlib import Path

from services.media.errors import NotAVideo
from services.media.inspection.boxes import end_of_boxes

AAC = "mp4a.40.2"  # low complexity, the only kind we make (RFC 6381)
_HEAD_BYTES = 64 * 1024
_TS_PACKET_BYTES = 188


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
        return end_of_boxes(content, size) == size
