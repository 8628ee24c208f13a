"""Child processes of the bench: pinned to a core, measured through /proc, always ended again.

Only processes started here are ever signalled, by their own pid.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE = 0
OTHER_CORE = 1  # load generator, databases and the bench itself
ANY_CORE = -1  # all that the bench may use
_ALLOWED_CORES = os.sched_getaffinity(0)
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """The bench cannot go on; the text is for the person who runs it."""


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def ensure_running(self) -> None:
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise BenchError(f"{self.name} ended with {self.process.returncode}:\n{tail}")

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


def start(
    name: str,
    command: Sequence[str],
    *,
    core: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Child:
    """A child on its own core that also ends when the bench is killed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            env=clean_environment(environment or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_settle(core),
        )
    return Child(name, process, log)


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Only what a process needs to start, so that the caller's own settings change no figure."""
    inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in inherited if name in os.environ} | dict(extra)


def _settle(core: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    cores = _cores(core)

    def settle() -> None:
        os.sched_setaffinity(0, cores)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return settle


def settle_here(core: int) -> None:
    """Moves this process; children started by others (the embedded servers) inherit its core."""
    os.sched_setaffinity(0, _cores(core))


def _cores(core: int) -> set[int]:
    """Just this core, or all allowed ones where it is missing."""
    return {core} & _ALLOWED_CORES or _ALLOWED_CORES


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], child: Child, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        child.ensure_running()
        if time.monotonic() > deadline:
            raise BenchError(f"{child.name} was not ready after {seconds:.0f} s; see {child.log}")
        time.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its descendants and those already waited for."""
    stats = _process_table()
    return sum(stats[member][1] for member in _tree(pid, stats) if member in stats)


def cpu_of_children(pid: int) -> dict[int, float]:
    """User and system time of each child that runs, without its own children's."""
    table = _process_table()
    return {child: spent for child, (parent, spent) in table.items() if parent == pid}


def memory_bytes(pid: int) -> int:
    """Resident memory of the process and its descendants."""
    pages = 0
    for member in _tree(pid, _process_table()):
        try:
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def _process_table() -> dict[int, tuple[int, float]]:
    """pid -> (parent, CPU seconds)."""
    table: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The command name may hold spaces and brackets; fields are counted after it.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks = sum(int(field) for field in fields[11:15])
            table[int(entry.name)] = (int(fields[1]), ticks / _TICKS_PER_SECOND)
    return table


def _tree(root: int, table: Mapping[int, tuple[int, float]]) -> list[int]:
    members = [root]
    for member in members:
        members.extend(pid for pid, (parent, _) in table.items() if parent == member)
    return members
