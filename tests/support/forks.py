"""Processes that are forked from one that has the product imported (fork_server.py)."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.embedded.servers import die_with_parent

ROOT = Path(__file__).parents[2]
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Fork:
    """A forked process, with the part of subprocess.Popen that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._has_ended = threading.Event()
        self._status = 0

    def end(self, status: int) -> None:
        """Note that it has ended, and how."""
        self._status = status
        self._has_ended.set()

    def poll(self) -> int | None:
        """Exit status, negative for a signal's number; None while it runs."""
        return self._status if self._has_ended.is_set() else None

    def wait(self, timeout: float) -> int:
        """Wait for the exit status.

        Raises:
            TimeoutExpired: it still runs after `timeout` seconds.
        """
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks: started with the first command, ended with this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        self._started: queue.SimpleQueue[Fork] = queue.SimpleQueue()
        self._running: dict[int, Fork] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="forks", daemon=True)
        self._reader.start()

    def start(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
    ) -> Fork:
        """Fork `python -m server` with these arguments; both its outputs go to `output`."""
        command = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "output": str(output),
        }
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
            return self._started.get(timeout=_START_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, pid, *status = line.decode().split()
            if word == "started":
                fork = self._running[int(pid)] = Fork(int(pid))
                self._started.put(fork)
            else:
                self._running.pop(int(pid)).end(int(status[0]))

    def close(self) -> None:
        """End it, and with it whatever it forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


_servers: list[ForkServer] = []


def start_fork(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
) -> Fork:
    """Fork `python -m server` from this process's fork server, which is started once."""
    if not _servers:
        inherited = {name: environment[name] for name in INHERITED if name in environment}
        _servers.append(ForkServer(inherited))
    return _servers[0].start(arguments, folder, environment, output)


def end_forks() -> None:
    """End the fork server, if there is one, and with it whatever it forked."""
    while _servers:
        _servers.pop().close()


def end_with_parent() -> None:
    """Have the kernel end this process once the thread that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
