"""Combed pictures are known by what they show, whatever their flags say."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.media import ffmpeg
from services.media.inspection.interlacing import detect_interlacing, has_fields_apart
from services.media.video_source import Deinterlacing
from tests.support.media import FFMPEG

TOP, BOTTOM, NONE = (
    Deinterlacing.ALL_TOP_FIRST,
    Deinterlacing.ALL_BOTTOM_FIRST,
    Deinterlacing.FLAGGED,
)


@pytest.mark.parametrize(
    ("picture", "filters", "expected"),
    [
        ("testsrc2=size=320x240:rate=50", "tinterlace=interleave_top", TOP),
        ("testsrc2=size=320x240:rate=50", "tinterlace=interleave_bottom", BOTTOM),
        ("testsrc2=size=320x240:rate=60000/1001", "tinterlace=interleave_top:flags=vlpf", TOP),
        ("testsrc2=size=640x480:rate=24", "telecine=pattern=23", TOP),
        # whole pictures that idet takes for combed ones: fine lines, little motion
        ("testsrc2=size=320x240:rate=25", "null", NONE),
        ("testsrc2=size=160x90:rate=25", "null", NONE),
        ("testsrc2=size=160x90:rate=60", "null", NONE),
        ("testsrc2=size=160x90:rate=120", "null", NONE),
        ("testsrc2=size=640x360:rate=60", "null", NONE),
        # and pictures that hardly move
        ("testsrc=size=320x240:rate=25", "null", NONE),
        ("mandelbrot=size=320x240:rate=25", "null", NONE),
        ("smptebars=size=320x240:rate=25", "null", NONE),
    ],
)
async def test_combed_pictures_are_known_without_flags(
    tmp_path: Path, picture: str, filters: str, expected: Deinterlacing
) -> None:
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    drawn = ["-f", "lavfi", "-i", picture, "-t", "1.5", "-vf", f"{filters},setfield=prog", *codec]
    await ffmpeg.run(FFMPEG, [*drawn, "film.mkv"], folder=tmp_path)
    assert await detect_interlacing(FFMPEG, tmp_path / "film.mkv", "0:0", 1.5) is expected


@pytest.mark.parametrize(
    ("between_fields", "between_pictures", "are_apart"),
    [
        ([2.0, 2.1] * 25, [2.7] * 24, True),
        ([0.8, 2.7] * 25, [2.5] * 24, False),  # fields of one picture are alike
        ([2.7, 3.3] * 25, [1.4] * 24, False),  # lines are fine, and little moves
        ([0.0, 0.0] * 25, [0.0] * 24, False),
        ([2.0, 2.1], [2.7], False),  # too few to tell
        ([], [], False),
    ],
)
def test_fields_are_apart_where_motion_explains_their_difference(
    between_fields: list[float], between_pictures: list[float], are_apart: bool
) -> None:
    assert has_fields_apart(between_fields, between_pictures) is are_apart
