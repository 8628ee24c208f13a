"""Work folder of an ingest: a hidden folder of the library, renamed at the end.

Promise: a title's folder appears complete or not at all, whatever ends the work; the previous one
stays until then, and leftovers of killed runs are removed by the next.
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

from services.media.errors import IngestRefused
from services.media.library import INDEX, Media

_WORK, _REPLACED = ".ingest-", ".replaced-"  # hidden: no id begins with a dot


@asynccontextmanager
async def work_folder(folder: Path, needed_bytes: int, *, replaces: bool) -> AsyncIterator[Path]:
    """Create a hidden folder beside the title's, removed afterwards.

    Raises:
        IngestRefused: the title exists, the disk has no room or cannot be written.
    """
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
    _clear_leftovers(library)
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
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _is_locked(descriptor)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear_leftovers(library: Path) -> None:
    """What killed runs left: half-made folders go, a title taken aside comes back."""
    for leftover in library.glob(f"{_REPLACED}*"):
        title = library / leftover.name.removeprefix(_REPLACED)
        with suppress(OSError):
            shutil.rmtree(leftover) if title.exists() else leftover.rename(title)
    for leftover in library.glob(f"{_WORK}*"):
        with suppress(FileNotFoundError), _lock(leftover) as is_ours:
            if is_ours:
                shutil.rmtree(leftover, ignore_errors=True)


def publish(media: Media, work: Path, folder: Path) -> None:
    """Write media.json last, sync all files to disk, then rename the folder into place."""
    (work / INDEX).write_bytes(msgspec.json.format(msgspec.json.encode(media), indent=1))
    for file in work.rglob("*"):
        _fsync(file)
    work.chmod(0o755)  # mkdtemp's 0700 would hide it from a server that runs as another user
    replaced = folder.with_name(_REPLACED + folder.name)
    if folder.exists():
        folder.rename(replaced)
    work.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    _fsync(folder.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
