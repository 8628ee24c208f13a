"""Boxes and chunks of containers: whether a file holds as much as its structure says.

Source: ISO/IEC 14496-12, section 4.2 (boxes); the RIFF and OpenDML specifications (AVI).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")


def ends_early(file: Path) -> bool:
    """Say whether the structure of an MP4, QuickTime or AVI file goes on beyond its end."""
    size = file.stat().st_size
    with file.open("rb") as content:
        head = content.read(12)
        if head[4:8] in _FIRST_BOXES:
            return end_of_boxes(content, size) > size
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return int.from_bytes(head[4:8], "little") + 8 > size
    return False


def end_of_boxes(content: BinaryIO, size: int) -> int:
    """Find where the last box ends: beyond the file's end if that was cut; -1 if it is no box."""
    end = 0
    while end < size:
        content.seek(end)
        head = content.read(16)
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if length == 0 and end:
            return size  # the last box may say that it goes on to the end
        if length < 8:
            return -1
        end += length
    return end
