"""ffmpeg as a child process: real films, and stand-ins that hang."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.embedded.binaries import MissingBinary
from services.media import ffmpeg
from tests.support.media import FFMPEG
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


async def test_a_playlist_of_addresses_is_not_followed(tmp_path: Path) -> None:
    # given a "film" that leads elsewhere, when it is described
    film = tmp_path / "film.m3u8"
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", "http://127.0.0.1:9/a.ts"]
    film.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    output = await ffmpeg.describe(FFMPEG, film)
    # then nothing was asked of the network
    assert "'http' not on whitelist" in output
    assert "Stream #" not in output
