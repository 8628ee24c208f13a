"""What commands share: settings from the environment, and texts to print or to write."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from server.commands.stores import find_private_stores
from services.errors import StartupError
from services.settings.settings import Settings
from services.settings.unknown_names import find_unknown_names
from services.telemetry import logs
from services.telemetry.logs import get_logger

log = get_logger("settings")


def load_settings(*, uses_private_stores: bool = True) -> Settings:
    """Read the settings, configure the logs by them, and tell of names that are no settings.

    Args:
        uses_private_stores: where no store is named, use those of a running `dev`.

    Raises:
        StartupError: names the settings at fault, not their values: some are secret.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        faults = (f"{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        raise StartupError("; ".join(faults) + ".") from None
    logs.configure(settings)
    for unknown in find_unknown_names():
        log.warning("unknown_setting", setting=unknown.name, why=unknown.remedy)
    return find_private_stores(settings) if uses_private_stores else settings


def print_line(line: str) -> None:
    """Print a line; a reader that has enough, such as `head`, is no fault."""
    with suppress(BrokenPipeError):
        sys.stdout.write(line + "\n")


def write_text(text: str, path: Path | None) -> None:
    """Write a file's text to `path`, or print it if there is none."""
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")
