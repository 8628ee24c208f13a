"""Lua scripts that change progress: they read and write a state by the names of its fields.

The names are written from ProgressState, so that a field added there has its place in Lua, and its
default where an older version packed the state.
"""

from __future__ import annotations

import msgspec

from services.playback.state import FLUSHED_SECONDS, PERMANENT_HOLD_MS, ProgressState
from services.redis.scripts import Script


def progress_script(name: str) -> Script:
    """Build the script of this name, after what all scripts of progress share."""
    return Script("playback", "progress_common", name, constants=_CONSTANTS)


def _build_constants() -> str:
    fields = msgspec.structs.fields(ProgressState)
    names = ", ".join(field.name.upper() for field in fields)
    places = ", ".join(str(place) for place in range(1, len(fields) + 1))
    defaults = ", ".join(_write_literal(field.default) for field in fields)
    return (
        f"local {names} = {places}\n"
        f"local NEW_STATE = {{{defaults}}}\n"
        f"local PERMANENT_HOLD_MS = {PERMANENT_HOLD_MS}\n"
        f"local FLUSHED_SECONDS = {FLUSHED_SECONDS}\n"
    )


def _write_literal(value: object) -> str:
    """A number or a text without quotes as Lua writes it; whole numbers without a point."""
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_CONSTANTS = _build_constants()
