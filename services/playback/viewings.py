"""Session data of a stream entry, for the history: written by the report script.

An entry may hold none: then its change was made without watching.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.playback.state import DeviceTag, decode_device

OFFLINE = "offline:"  # what a session's id begins with where there was none


class ViewingEntry(msgspec.Struct, frozen=True, array_like=True):
    """Session as it was at this entry; `ended_at_ms` is 0 while it runs.

    `seen_ms`, the time of its last report, grows from entry to entry.
    """

    session_id: str
    started_at_ms: int
    watched_seconds: float
    ended_at_ms: int
    completed: int
    device_json: str
    seen_ms: int

    @property
    def key(self) -> tuple[str, int]:
        """What makes it one viewing: a session key may start a session again, an event never."""
        is_offline = self.session_id.startswith(OFFLINE)
        return self.session_id, 0 if is_offline else self.started_at_ms

    @property
    def device(self) -> DeviceTag | None:
        """Player of the session."""
        return decode_device(self.device_json)


_decoder = msgspec.msgpack.Decoder(ViewingEntry, strict=False)


def decode_viewing(fields: Mapping[bytes, bytes]) -> ViewingEntry | None:
    """Decode the entry's session; None if it has none.

    Raises:
        ValueError: not written by us.
    """
    packed = fields.get(b"viewing")
    return _decoder.decode(packed) if packed else None
