"""What a cache tier holds: a value, until when it is fresh, and until when it may still answer."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from services.redis.cache_keys import Kind

V = TypeVar("V")


class Entry(NamedTuple):
    """A cached value; None says that the thing does not exist."""

    value: Any
    fresh_until: float
    stale_until: float


class Codec(Generic[V]):
    """Entries of one type to and from Redis bytes: [version, fresh until, stale until, value]."""

    def __init__(self, value_type: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(tuple[int, float, float, value_type | None])

    def encode(self, kind: Kind, entry: Entry) -> bytes:
        return self._encoder.encode((kind.version, *entry[1:], entry.value))

    def decode(self, kind: Kind, raw: Any) -> Entry | None:
        try:
            version, fresh, stale, value = self._decoder.decode(raw)
        except msgspec.DecodeError:
            return None  # written by another version of us
        return Entry(value, fresh, stale) if version == kind.version else None


_AGEING = msgspec.msgpack.Decoder(tuple[int, float, float, msgspec.Raw])


def encode_stale(raw: Any, now: float) -> bytes | None:
    """The same entry, no longer fresh; None if these are no bytes of an entry."""
    try:
        version, fresh_until, stale_until, value = _AGEING.decode(raw)
    except msgspec.DecodeError:
        return None
    return msgspec.msgpack.encode((version, min(fresh_until, now), stale_until, value))
