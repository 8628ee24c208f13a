"""ffmpeg as a child process: real films, and stand-ins that hang."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from services.embedded.binaries import MissingBinary
from services.media import ffmpeg
from services.media.ffmpeg_version import OldFfmpeg, find_supported_ffmpeg, require_version
from tests.support.media import FFMPEG, make_clip
from tests.support.processes import is_running, until


def stand_in(folder: Path, script: str) -> Path:
    """A program in ffmpeg's place; its pid stands in the file `pid` before it goes on."""
    program = folder / "ffmpeg"
    program.write_text(
        f"#!/bin/sh\necho $$ > {folder}/pid.new; mv {folder}/pid.new {folder}/pid\n{script}\n"
    )
    program.chmod(0o755)
    return program


def test_the_setting_comes_first_and_is_never_replaced_in_silence(tmp_path: Path) -> None:
    # given a program of one's own, then it is used
    program = stand_in(tmp_path, "exit 0")
    assert ffmpeg.find_ffmpeg(str(program)) == program
    # and one that is not there is told, although there is another
    assert FFMPEG.is_file()
    with pytest.raises(MissingBinary, match="FFMPEG_BINARY is '/nowhere/ffmpeg'"):
        ffmpeg.find_ffmpeg("/nowhere/ffmpeg")


def test_without_a_setting_the_extra_or_path_has_it() -> None:
    assert os.access(ffmpeg.find_ffmpeg(None), os.X_OK)
    assert ffmpeg.find_ffmpeg("") == ffmpeg.find_ffmpeg(None)


@pytest.mark.parametrize(
    ("first_line", "is_supported"),
    [
        ("ffmpeg version 8.1.2 Copyright (c) 2000-2026 the FFmpeg developers", True),
        ("ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright", True),
        ("ffmpeg version 10.0 Copyright", True),
        ("ffmpeg version 8.1.1 Copyright", False),
        ("ffmpeg version 8.1 Copyright", False),
        ("ffmpeg version 7.1.1-1+deb13u1 Copyright", False),
        ("ffmpeg version 5.1.6-0+deb12u1 Copyright", False),
        ("ffmpeg version N-121000-gabcdef Copyright\nlibavutil      61.  1.102", True),
        ("ffmpeg version 2026-10-01-git-abc Copyright\nlibavutil      61.  1.102", True),
        ("ffmpeg version N-90000-gabcdef Copyright\nlibavutil      56.  1.100", False),
        ("", False),
        ("avconv version 12", False),
    ],
)
def test_an_ffmpeg_with_known_holes_is_refused(first_line: str, is_supported: bool) -> None:
    if is_supported:
        require_version(first_line, Path("ffmpeg"))
    else:
        with pytest.raises(OldFfmpeg, match=r"takes 8\.1\.2 or newer"):
            require_version(first_line, Path("ffmpeg"))


async def test_the_version_is_asked_of_whatever_ffmpeg_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await find_supported_ffmpeg(None) == FFMPEG
    # given an old one in the setting, then by its name on PATH
    old = stand_in(tmp_path, "echo 'ffmpeg version 5.1.6-0+deb12u1 Copyright (c) the developers'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for setting in (str(old), "ffmpeg"):
        with pytest.raises(OldFfmpeg, match=r"ffmpeg is ffmpeg 5\.1\.6, and reading films takes"):
            await find_supported_ffmpeg(setting)


async def test_a_run_tells_how_far_it_is(tmp_path: Path) -> None:
    # given two seconds of film, when they are encoded
    positions: list[float] = []
    drawn = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=2"]
    await ffmpeg.run(FFMPEG, [*drawn, "film.mp4"], folder=tmp_path, on_progress=positions.append)
    # then the seconds only grew, up to the last
    assert positions == sorted(set(positions))
    assert positions[-1] == pytest.approx(2, abs=0.3)
    assert (tmp_path / "film.mp4").stat().st_size > 0


async def test_a_failure_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(ffmpeg.FfmpegFailed) as failed:
        arguments = [*ffmpeg.input_arguments(tmp_path / "film.mp4"), "out.mp4"]
        await ffmpeg.run(FFMPEG, arguments, folder=tmp_path)
    assert "Invalid data found" in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1


async def test_a_full_disk_is_reported_even_if_the_exit_status_is_0(tmp_path: Path) -> None:
    # given what ffmpeg does when the disk fills up under its HLS writer
    program = stand_in(tmp_path, "echo '[hls @ 0x1] x: No space left on device' >&2; echo more >&2")
    with pytest.raises(ffmpeg.FfmpegFailed, match=r"^The disk is full\.$"):
        await ffmpeg.run(program, [], folder=tmp_path)


async def test_what_does_not_start_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_bytes(b"\x7fELF nothing to run")
    program.chmod(0o755)
    with pytest.raises(ffmpeg.FfmpegFailed, match="did not start"):
        await ffmpeg.run(program, [], folder=tmp_path)


async def test_a_run_that_does_not_move_is_ended(tmp_path: Path) -> None:
    # given one that reports and reports, always the same second
    program = stand_in(tmp_path, "while :; do echo out_time_us=1000000; sleep 0.05; done")
    # when it is waited for
    with pytest.raises(ffmpeg.FfmpegFailed, match="did not move for 1 s"):
        await ffmpeg.run(program, [], folder=tmp_path, stall_seconds=1)
    # then it is gone
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_a_slow_run_that_moves_is_left_alone(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5; do echo out_time_us=${i}000000; sleep 0.5; done"
    positions: list[float] = []
    # given a run that takes longer than it may stand still, when it is waited for
    await ffmpeg.run(
        stand_in(tmp_path, script),
        [],
        folder=tmp_path,
        on_progress=positions.append,
        stall_seconds=2,
    )
    # then it came to its end
    assert positions == [1, 2, 3, 4, 5]


async def test_who_stops_waiting_ends_it(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "exec sleep 60")
    waiting = asyncio.create_task(ffmpeg.run(program, [], folder=tmp_path))
    await until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    # when nobody waits any more
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # then it is gone
    assert not is_running(pid)


async def test_a_file_that_takes_for_ever_to_describe_is_reported(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "exec sleep 60")
    with pytest.raises(ffmpeg.FfmpegFailed, match=r"did not read film\.mp4 in time"):
        await ffmpeg.describe(program, tmp_path / "film.mp4", deadline_seconds=0.5)
    assert not is_running(int((tmp_path / "pid").read_text()))


LISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{film}\n#EXT-X-ENDLIST\n",
    "DASH": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000">'
        "<BaseURL>{film}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "concat": "ffconcat version 1.0\nfile '{film}'\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8", "film.mpd", "film.ts"])
async def test_a_list_that_calls_itself_a_film_leads_to_no_other_file(
    tmp_path: Path, kind: str, name: str
) -> None:
    # given another film of this machine, and a "film" that leads to it
    other = await make_clip(tmp_path / "other.ts", seconds=1)
    film = tmp_path / name
    film.write_text(LISTS[kind].format(film=other))
    # when it is described
    output = await ffmpeg.describe(FFMPEG, film)
    # then it is no film
    assert "Stream #" not in output


async def test_a_playlist_of_addresses_asks_nothing_of_the_network(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    film = tmp_path / "film.mp4"
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts"
    film.write_text(LISTS["HLS"].format(film=address))
    assert "Stream #" not in await ffmpeg.describe(FFMPEG, film)
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()
