"""What is read from a file, however odd it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from services.media import ffmpeg
from services.media.errors import NotAVideo
from services.media.inspection.probe import probe
from services.media.video_source import AudioSource, VideoSource
from tests.support.media import FFMPEG, make_clip

PLAIN = VideoSource(640, 360, Fraction(30), 2.0, "0:0", (AudioSource("0:1"),))


async def again(film: Path, name: str, *options: str, before: tuple[str, ...] = ()) -> Path:
    """The same film once more, changed by options of ffmpeg."""
    arguments = [*before, "-i", str(film), *options, name]
    await ffmpeg.run(FFMPEG, arguments, folder=film.parent)
    return film.with_name(name)


async def test_a_plain_film(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "a film.mp4", size="640x360", seconds=2)
    assert (await probe(FFMPEG, film)).source == PLAIN


async def test_a_silent_film_of_uneven_size_at_an_american_rate(tmp_path: Path) -> None:
    film = await make_clip(
        tmp_path / "silent.mkv",
        seconds=2,
        rate="24000/1001",
        has_audio=False,
        extra=("-vf", "scale=321:181,setsar=1,format=yuv444p", "-pix_fmt", "yuv444p"),
    )
    probed = (await probe(FFMPEG, film)).source
    assert (probed.width, probed.height, probed.audio) == (321, 181, ())
    assert probed.frame_rate == Fraction(24000, 1001)


async def test_a_film_that_lies_on_its_side_is_upright(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    turned = await again(film, "turned.mp4", "-c", "copy", before=("-display_rotation", "90"))
    source = (await probe(FFMPEG, turned)).source
    assert (source.width, source.height) == (180, 320)


async def test_pixels_become_square(tmp_path: Path) -> None:
    film = await make_clip(
        tmp_path / "dvd.mkv", size="720x576", seconds=1, rate="25", extra=("-vf", "setsar=64/45")
    )
    assert (await probe(FFMPEG, film)).source.width == 1024


async def test_a_rate_that_varies_becomes_a_steady_one(tmp_path: Path) -> None:
    # given a film that lost every second frame of its first half
    film = await make_clip(
        tmp_path / "varies.mkv",
        seconds=2,
        extra=("-vf", "select='gt(t,1)+not(mod(n,2))'", "-fps_mode", "vfr"),
    )
    assert (await probe(FFMPEG, film)).source.frame_rate == 30


async def test_a_cover_is_no_film(tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    cover = await again(film, "cover.png", "-frames:v", "1")
    song = await again(film, "song.mp3", "-vn", "-c:a", "libmp3lame")
    covered = await again(
        song, "covered.mp3", "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy",
        "-disposition:v", "attached_pic",
    )  # fmt: skip
    for file in (song, covered, cover):
        with pytest.raises(NotAVideo, match=r"is not a video that ffmpeg can read\."):
            await probe(FFMPEG, file)
    # and none in the container of a film either
    still = await again(film, "still.mp4", "-frames:v", "1", "-an")
    with pytest.raises(NotAVideo, match=r"still\.mp4 does not hold more than one picture"):
        await probe(FFMPEG, still)


@pytest.mark.parametrize("content", [b"", b"no film at all", bytes(range(256)) * 100])
async def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "-i.mp4"  # not an option either
    file.write_bytes(content)
    with pytest.raises(NotAVideo, match=r"^-i\.mp4 is not a video that ffmpeg can read\.$"):
        await probe(FFMPEG, file)


async def test_a_title_that_looks_like_a_stream_is_a_title(tmp_path: Path) -> None:
    lie = "Stream #0:0: Video: h264, 9999x9999, 1 fps\n  Duration: 99:00:00.00"
    film = await make_clip(
        tmp_path / "film.mp4", size="640x360", seconds=2, extra=("-metadata", f"title={lie}")
    )
    assert (await probe(FFMPEG, film)).source == PLAIN


async def test_a_film_of_many_days_is_refused(tmp_path: Path) -> None:
    slow = ("-vf", "setpts=PTS*30000", "-fps_mode", "vfr", "-frames:v", "4")
    film = await make_clip(tmp_path / "film.mkv", seconds=4, rate="1", has_audio=False, extra=slow)
    with pytest.raises(NotAVideo, match=r"is \d{5} s long: more than 0 s and at most a day"):
        await probe(FFMPEG, film)
