"""The data folder of a private server: its lock, and where the server that has it listens.

The lock holds exactly while the server lives, whoever started it, so an address counts only while
the folder is locked.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import BinaryIO

from services.embedded.binaries import EmbeddedError

LOCK_SECONDS = 1.0  # a server whose parent was just killed takes a moment to end
_POLL_SECONDS = 0.01


class DataFolderUnusable(EmbeddedError):
    """The data folder cannot be written, is full, or belongs to a server that still runs."""


def lock_folder(folder: Path, name: str) -> BinaryIO:
    """An open file that holds the folder's lock; closing it, and its copies, lets go.

    Redis has no lock of its own, and two would spoil one append-only file. The server inherits
    the open file, so the lock holds exactly while the server lives, whoever started it.
    """
    file = (folder / f"{name}.running").open("wb")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError as error:
            if time.monotonic() > deadline:
                file.close()
                raise build_in_use_error(folder, name, folder / f"{name}.pid") from error
            time.sleep(_POLL_SECONDS)


def build_in_use_error(folder: Path, name: str, pid_file: Path) -> DataFolderUnusable:
    try:
        pid = f" (pid {int(pid_file.read_text())})"
    except (OSError, ValueError):
        pid = ""
    return DataFolderUnusable(f"{folder} is in use by another {name}{pid}: stop it first.")


def note_address(folder: Path, name: str, uri: str) -> None:
    """Write down where the folder's server listens, for `find_address`."""
    (folder / f"{name}.address").write_text(uri, encoding="utf-8")


def forget_address(folder: Path, name: str) -> None:
    """Forget where an earlier server of the folder listened."""
    (folder / f"{name}.address").unlink(missing_ok=True)


def find_address(folder: Path, name: str) -> str | None:
    """Where the server of this folder listens; None where none runs, or it is still starting."""
    try:
        with (folder / f"{name}.running").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        pass
    except OSError:  # there is no such folder
        return None
    try:
        return (folder / f"{name}.address").read_text(encoding="utf-8")
    except OSError:
        return None
