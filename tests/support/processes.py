"""Our command line as real processes. What a test starts, it ends; nothing else is touched."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from services.embedded.servers import die_with_parent
from tests.support import log_watch
from tests.support.api_client import GraphQL
from tests.support.forks import INHERITED, ROOT, Fork, start_fork

START_SECONDS = 40.0
_UNLIMITED = {
    "RATE_LIMIT_MODE": "off",
    "THROTTLES": "false",
    "ABUSE_MODE": "off",
}  # for tests of something else
_CAN_FORK = sys.platform == "linux"  # elsewhere what is imported may not survive it


class Process:
    """`python -m server ...` in a session of its own; stdout and stderr go to one file.

    It is forked from a process that has imported everything, which saves seconds of a core;
    `from_scratch`, or where that is no good, it is an interpreter of its own.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str],
        from_scratch: bool = not _CAN_FORK,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output_file = folder / "output.txt"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.output_file.unlink(missing_ok=True)
        self.output_file.touch()
        log_watch.watch_output(self.output_file)
        environment = {**inherited, "PYTHONPATH": str(ROOT), **_UNLIMITED, **environment}
        # in `folder`, so that no .env of a developer is read
        self._process: subprocess.Popen[bytes] | Fork
        if from_scratch:
            self._process = start_interpreter(arguments, folder, environment, self.output_file)
        else:
            self._process = start_fork(arguments, folder, environment, self.output_file)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        return self.output_file.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within_seconds: float = START_SECONDS) -> int:
        """The exit status; negative for a signal's number."""
        return await asyncio.to_thread(self._process.wait, within_seconds)

    async def says(self, text: str) -> None:
        await until(lambda: text in self.output or self._process.poll() is not None)
        assert text in self.output, self.output

    def children(self) -> list[int]:
        """The pids of the servers it started."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listed.read_text().split()]

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def start_interpreter(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output_file: Path
) -> subprocess.Popen[bytes]:
    """Start `python -m server` with these arguments; both its outputs go to the file."""
    with output_file.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "server", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )


async def until(holds: Any, seconds: float = START_SECONDS) -> None:
    """Waits until `holds()` or, if that is a coroutine function, what it returns is true."""
    give_up_at = time.monotonic() + seconds
    while True:
        holds_now = holds()
        if await holds_now if asyncio.iscoroutine(holds_now) else holds_now:
            return
        assert time.monotonic() < give_up_at, f"not so within {seconds} s"
        await asyncio.sleep(0.05)


class Served:
    """A client of a process that listens on `port`."""

    def __init__(self, port: int) -> None:
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20)
        self.graphql = GraphQL(self.client)

    async def answers(self) -> bool:
        try:
            return (await self.client.get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def ready(self) -> tuple[int, str]:
        response = await self.client.get("/ready")
        return response.status_code, response.json()["status"]

    async def is_healthy(self) -> bool:
        return await self.ready() == (200, "healthy")

    async def __aenter__(self) -> Served:
        await until(self.answers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()


def descendants(pid: int) -> dict[int, str]:
    """Return the command lines of a process's children, theirs and so on, by pid."""
    found: dict[int, str] = {}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            for child in map(int, listed.read_text().split()):
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                found |= {child: command.replace(b"\0", b" ").decode()} | descendants(child)
    return found


def is_running(pid: int) -> bool:
    """False for a zombie too: an orphan's new parent may never collect it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
