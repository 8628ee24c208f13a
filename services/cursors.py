"""Page cursors: a signed, versioned position in one order of one list.

A cursor names its order, so one made for another order is refused, and so is an altered one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple

import msgspec

from services.errors import InvalidCursor

Value = float | int | str | None
_VERSION = 1
_PURPOSE = b"marquee cursors"
_SIGNATURE_BYTES = 8


class Position(NamedTuple):
    """Position just after (or before) the item with this sort value and id."""

    value: Value
    id: str


_decoder = msgspec.msgpack.Decoder(tuple[int, str, Value, str])
_encoder = msgspec.msgpack.Encoder()


def encode(secret: bytes, order: str, position: Position) -> str:
    """Encode and sign a position of one order as a cursor."""
    payload = _encoder.encode((_VERSION, order, position.value, position.id))
    return base64.urlsafe_b64encode(_sign(secret, payload) + payload).decode().rstrip("=")


def decode(secret: bytes, order: str, cursor: str, argument: str) -> Position:
    """Verify and decode a cursor.

    Args:
        argument: name of the GraphQL argument, for the error.

    Raises:
        InvalidCursor: the cursor is foreign, altered, or was made for another order.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        version, encoded_order, value, id_ = _decoder.decode(payload)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor(f"`{argument}` is not a cursor of this API.", path=[argument]) from None
    if not hmac.compare_digest(signature, _sign(secret, payload)) or version != _VERSION:
        raise InvalidCursor(f"`{argument}` is not a cursor of this API.", path=[argument])
    if encoded_order != order:
        raise InvalidCursor(f"`{argument}` was made for another order.", path=[argument])
    return Position(value, id_)


def decode_instant(
    secret: bytes, order: str, cursor: str | None, argument: str = "after"
) -> tuple[int, str] | None:
    """Decode a cursor of a list ordered by instants and ids; None: there is none.

    Args:
        argument: name of the GraphQL argument, for the error.

    Returns:
        The instant in ms since 1970, and the id.

    Raises:
        InvalidCursor: as for `decode`.
    """
    if cursor is None:
        return None
    value, id_ = decode(secret, order, cursor, argument)
    if not isinstance(value, int):
        raise InvalidCursor(f"`{argument}` is not a cursor of this list.", path=[argument])
    return value, id_


def _sign(secret: bytes, payload: bytes) -> bytes:
    """Sign a payload; `person` separates it from other signatures by the same secret."""
    keyed = hashlib.blake2b(payload, key=secret[:64], person=_PURPOSE, digest_size=_SIGNATURE_BYTES)
    return keyed.digest()
