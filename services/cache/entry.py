"""Entries of the cache tiers, and their encoding in Redis."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from services.redis.cache_keys import Kind

V = TypeVar("V")


class Entry(NamedTuple):
    """A cached value (None: does not exist), fresh and then stale until seconds since 1970."""

    value: Any
    fresh_until: float
    stale_until: float
    encoded_bytes: int = 0  # 0: not known


class Codec(Generic[V]):
    """Codec of entries of one type: msgpack of [version, fresh until, stale until, value]."""

    def __init__(self, value_type: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(tuple[int, float, float, value_type | None])

    def encode(self, kind: Kind, entry: Entry) -> bytes:
        """Encode an entry with the kind's version."""
        return self._encoder.encode(
            (kind.version, entry.fresh_until, entry.stale_until, entry.value)
        )

    def decode(self, kind: Kind, raw: Any) -> Entry | None:
        """Decode an entry; None if it has another version or type."""
        try:
            version, fresh, stale, value = self._decoder.decode(raw)
        except msgspec.DecodeError:
            return None  # written by another release
        return Entry(value, fresh, stale, len(raw)) if version == kind.version else None


_AGEING = msgspec.msgpack.Decoder(tuple[int, float, float, msgspec.Raw])


def encode_stale(raw: Any, now: float) -> bytes | None:
    """Encode the same entry as stale; None if `raw` is not an entry."""
    try:
        version, fresh_until, stale_until, value = _AGEING.decode(raw)
    except msgspec.DecodeError:
        return None
    return msgspec.msgpack.encode((version, min(fresh_until, now), stale_until, value))
