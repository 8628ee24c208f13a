"""A process that has the product imported, and forks one for each command it is told.

Importing takes seconds of a core, forking none. It reads a line of JSON for each command, answers
`started <pid>`, and says `ended <pid> <status>` in time. It ends with its standard input, or with
whoever started it. What it forks is `python -m server ...` in all but the import.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import sys
from contextlib import suppress
from typing import Any

import server.__main__
from tests.support.forks import end_with_parent

_COMMANDS, _ANSWERS = 0, 1


def main() -> None:
    """Fork as told; in each fork, run its command as the interpreter would."""
    del sys.modules[server.__main__.__name__]  # it is run once more, as what it is named for
    command = serve()
    if command is not None:
        become(command)
        runpy.run_module("server", run_name="__main__", alter_sys=True)


def serve() -> dict[str, Any] | None:
    """Fork as told until the input ends; returns the command in a fork, None here."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    gc.collect()
    gc.freeze()  # forks share it
    while True:
        ready, _, _ = select.select([_COMMANDS, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            report_ended()
        if _COMMANDS in ready:
            line = read_line()
            if not line:
                return None
            parent, pid = os.getpid(), os.fork()
            if pid == 0:
                return {**json.loads(line), "parent": parent, "close": [woken, wakes]}
            answer(f"started {pid}")


def read_line() -> bytes:
    """Read one command; empty when there are no more."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(_COMMANDS, 1 << 16)
        if not part:
            return b""
        line += part
    return line


def report_ended() -> None:
    """Tell of every fork that has ended."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            answer(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def answer(line: str) -> None:
    os.write(_ANSWERS, f"{line}\n".encode())


def become(command: dict[str, Any]) -> None:
    """Make this fork what a new interpreter would be, in a session of its own."""
    os.setsid()
    end_with_parent()
    if os.getppid() != command["parent"]:  # it ended before the kernel was told
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in command["close"]:
        os.close(descriptor)
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(command["output"], os.O_WRONLY)
    for descriptor, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    os.close(nothing)
    os.close(output)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = ["server", *command["arguments"]]


if __name__ == "__main__":
    main()
