"""ffmpeg as a child process: located by path, run with progress.

Promise: a run that stops moving is killed, and none outlives its caller or (Linux) our process.
"""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from services.embedded.binaries import MissingBinary, find_from_setting, find_on_path
from services.embedded.servers import die_with_parent
from services.errors import StartupError

STALL_SECONDS = 120.0
_END_SECONDS = 10.0
_STDERR_BYTES = 8192  # the end of stderr that is read
_LINE_BYTES = 200
_CHUNK_BYTES = 64 * 1024
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
_PROTOCOLS = "file"  # nothing of a network
# Containers that hold their film themselves. Playlists, scripts and lists of pictures lead to other
# files, of this machine too: whatever a file is called, it is none of those.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,nut,dv"  # demuxers
)

ProgressCallback = Callable[[float], None]


class FfmpegFailed(StartupError):
    """ffmpeg ended with an error or stopped moving; the message has its last line."""


def find_ffmpeg(setting: str | None) -> Path:
    """Find the ffmpeg to run.

    Args:
        setting: FFMPEG_BINARY, a path or a name on PATH, or None.

    Raises:
        MissingBinary: none was found, or the setting names no executable file.
    """
    binary = find_from_setting("FFMPEG_BINARY", setting) or _from_wheel() or find_on_path("ffmpeg")
    if not binary:
        raise MissingBinary(
            "ffmpeg was not found: install the extra (pip install '.[media]') or ffmpeg from your "
            "system's packages, or set FFMPEG_BINARY."
        )
    return binary


def input_arguments(file: Path) -> list[str]:
    """Build the arguments of one input file: no option and no URL, whatever its name."""
    limits = ["-protocol_whitelist", _PROTOCOLS, "-format_whitelist", _CONTAINERS]
    return [*limits, "-i", f"file:{file.absolute()}"]


async def run(
    binary: Path,
    arguments: Sequence[str],
    *,
    folder: Path,
    on_progress: ProgressCallback = lambda _seconds: None,
    stall_seconds: float = STALL_SECONDS,
    niceness: int = 0,
) -> None:
    """Run ffmpeg in `folder` to its end.

    Args:
        on_progress: called twice a second with the seconds of film that are done.
        stall_seconds: longest time without progress.

    Raises:
        FfmpegFailed: it ended with an error, or nothing moved for `stall_seconds`.
    """
    options = ["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-nostats"]
    progress = ["-stats_period", "0.5", "-progress", "pipe:1"]
    process = await _start(binary, [*options, *progress, *arguments], folder, niceness)
    stderr_text = asyncio.create_task(_read_tail(process.stderr))
    try:
        await _watch(process, on_progress, stall_seconds)
        exit_status = await process.wait()
    except TimeoutError:
        raise FfmpegFailed(f"ffmpeg did not move for {stall_seconds:.0f} s.") from None
    finally:
        await _end(process)
        text = await stderr_text
    if exit_status or _is_disk_full(text):  # not every writer of its own minds a full disk
        raise FfmpegFailed(_failure_reason(text, exit_status))


async def read(
    binary: Path,
    arguments: Sequence[str],
    on_lines: Callable[[list[bytes]], None] = lambda _lines: None,
    *,
    stall_seconds: float = STALL_SECONDS,
) -> str:
    """Run ffmpeg for what it writes to stdout.

    Args:
        on_lines: called with the lines of stdout, many at a time.
        stall_seconds: longest time without output.

    Returns:
        The end of stderr.

    Raises:
        FfmpegFailed: it ended with an error, or wrote nothing for `stall_seconds`.
    """
    options = ["-nostdin", "-hide_banner", "-nostats"]
    process = await _start(binary, [*options, *arguments])
    stderr_text = asyncio.create_task(_read_tail(process.stderr, 8 * _STDERR_BYTES))
    try:
        await _pass_lines(process, on_lines, stall_seconds)
        exit_status = await process.wait()
    except TimeoutError:
        raise FfmpegFailed(f"ffmpeg did not move for {stall_seconds:.0f} s.") from None
    finally:
        await _end(process)
        text = await stderr_text
    if exit_status:
        raise FfmpegFailed(_failure_reason(text, exit_status))
    return text


async def describe(binary: Path, file: Path, deadline_seconds: float = 30.0) -> str:
    """Read ffmpeg's description of a file: container, streams and length.

    Raises:
        FfmpegFailed: it did not end in time.
    """
    process = await _start(binary, ["-nostdin", "-hide_banner", *input_arguments(file)])
    stderr_text = asyncio.create_task(_read_tail(process.stderr, 128 * _STDERR_BYTES))
    try:
        async with asyncio.timeout(deadline_seconds):
            await process.wait()
    except TimeoutError:
        raise FfmpegFailed(f"ffmpeg did not read {file.name} in time.") from None
    finally:
        await _end(process)
        text = await stderr_text
    return text


def _from_wheel() -> Path | None:
    """The file of imageio-ffmpeg; its name carries platform and version."""
    with suppress(metadata.PackageNotFoundError):
        folder = metadata.distribution("imageio-ffmpeg").locate_file("imageio_ffmpeg/binaries")
        for path in sorted(Path(str(folder)).glob("ffmpeg-*"), reverse=True):
            if path.is_file() and os.access(path, os.X_OK):
                return path.absolute()
    return None


async def _start(
    binary: Path, arguments: Sequence[str], folder: Path | None = None, niceness: int = 0
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches only us, and we end it
            preexec_fn=_before_exec(niceness),
        )
    except OSError as error:
        raise FfmpegFailed(f"{binary} did not start: {error.strerror}.") from error


def _before_exec(niceness: int) -> Callable[[], None] | None:
    set_death_signal = die_with_parent()
    if not niceness:
        return set_death_signal

    def prepare() -> None:
        os.nice(niceness)
        if set_death_signal:
            set_death_signal()

    return prepare


async def _watch(process: Process, on_progress: ProgressCallback, stall_seconds: float) -> None:
    """Until stdout ends; the deadline moves on with the film, not with ffmpeg's reports."""
    assert process.stdout is not None
    loop, reached = asyncio.get_running_loop(), -1.0
    async with asyncio.timeout(stall_seconds) as deadline:
        async for line in process.stdout:
            seconds = _seconds_done(line)
            if seconds is not None and seconds > reached:
                reached = seconds
                deadline.reschedule(loop.time() + stall_seconds)
                on_progress(seconds)


async def _pass_lines(
    process: Process, on_lines: Callable[[list[bytes]], None], stall_seconds: float
) -> None:
    assert process.stdout is not None
    loop, pending = asyncio.get_running_loop(), b""
    async with asyncio.timeout(stall_seconds) as deadline:
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            on_lines(lines)
            deadline.reschedule(loop.time() + stall_seconds)
        on_lines([pending] if pending else [])


def _seconds_done(line: bytes) -> float | None:
    match = re.match(rb"out_time_us=(\d+)", line)  # N/A until the first frame
    return int(match[1]) / 1e6 if match else None


async def _read_tail(stream: asyncio.StreamReader | None, max_bytes: int = _STDERR_BYTES) -> str:
    assert stream is not None
    stderr_text = b""
    while chunk := await stream.read(_STDERR_BYTES):
        stderr_text = (stderr_text + chunk)[-max_bytes:]
    return stderr_text.decode(errors="replace")


async def _end(process: Process) -> None:
    """Gone when this returns, also when the caller is being cancelled."""
    with suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    async with asyncio.timeout(_END_SECONDS):
        await process.wait()


def _is_disk_full(stderr_text: str) -> bool:
    return any(words in stderr_text for words in _FULL)


def _failure_reason(stderr_text: str, exit_status: int) -> str:
    """One line: of a full disk, whatever follows from it, else ffmpeg's last one."""
    if _is_disk_full(stderr_text):
        return "The disk is full."
    if exit_status < 0:
        return f"ffmpeg was ended by signal {-exit_status}."
    lines = [line.strip() for line in stderr_text.splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit status {exit_status}"
    return "ffmpeg failed: " + re.sub(r"^\[[^]]*\] ", "", last)[:_LINE_BYTES]
