"""Where a film is made before it is shown: a hidden folder of the library, renamed at the end.

Promise: a title's folder appears whole or not at all, whatever ends the work; what was there before
stays until then, and what killed runs left is cleared by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec

from services.media.library import INDEX, Media
from services.media.probe import IngestRefused

_WORK, _BEFORE = ".ingest-", ".replaced-"  # hidden: no id begins with a dot


@asynccontextmanager
async def work_folder(folder: Path, needed_bytes: int, *, replaces: bool) -> AsyncIterator[Path]:
    """A hidden folder beside the title's, gone afterwards; disk errors become one clear line."""
    try:
        _prepare(folder, needed_bytes, replaces=replaces)
        with _locked_folder(folder.parent) as work:
            yield work
    except OSError as error:
        reason = error.strerror or error
        raise IngestRefused(f"{folder.parent} cannot be written: {reason}.") from error


def _prepare(folder: Path, needed_bytes: int, *, replaces: bool) -> None:
    library = folder.parent
    library.mkdir(parents=True, exist_ok=True)
    _clear(library)
    if folder.exists() and not replaces:
        raise IngestRefused(f"{folder.name} is in the library already: --force replaces it.")
    free = shutil.disk_usage(library).free
    if free < needed_bytes:
        raise IngestRefused(
            f"{library} has {free // 10**6} MB free and this film may need "
            f"{needed_bytes // 10**6} MB: free some, or set DATA_DIR to another folder."
        )


@contextmanager
def _locked_folder(library: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=_WORK, dir=library))
    try:
        with _lock(work):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Held by us until we are gone, however that comes; false: somebody else holds it."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield _is_locked(opened)
    finally:
        os.close(opened)


def _is_locked(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(library: Path) -> None:
    """What killed runs left: half-made folders go, a title taken aside comes back."""
    for left in library.glob(f"{_BEFORE}*"):
        title = library / left.name.removeprefix(_BEFORE)
        with suppress(OSError):
            shutil.rmtree(left) if title.exists() else left.rename(title)
    for left in library.glob(f"{_WORK}*"):
        with suppress(FileNotFoundError), _lock(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)


def publish(media: Media, work: Path, folder: Path) -> None:
    """media.json last, all of it on disk, then one rename."""
    (work / INDEX).write_bytes(msgspec.json.format(msgspec.json.encode(media), indent=1))
    for file in work.rglob("*"):
        _to_disk(file)
    work.chmod(0o755)  # mkdtemp's 0700 would hide it from a server that runs as another user
    before = folder.with_name(_BEFORE + folder.name)
    if folder.exists():
        folder.rename(before)
    work.rename(folder)
    shutil.rmtree(before, ignore_errors=True)
    _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
