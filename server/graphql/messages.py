"""Messages of graphql-transport-ws, decoded and validated."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.websockets import WebSocketDisconnect

_MAX_ID_CHARACTERS = 200
_NONE: dict[str, Any] = {}


class Closed(Exception):
    """A reason to close the socket: the protocol's close code and text."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def decode_message(message: Any) -> dict[str, Any]:
    """Decode the JSON object in an ASGI message.

    Raises:
        Closed: the message is no JSON object.
        WebSocketDisconnect: the client has disconnected.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    text = message.get("text")
    if text is None:
        raise Closed(4400, "Messages are text")
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Closed(4400, "Messages are JSON") from None
    if not isinstance(decoded, dict):
        raise Closed(4400, "Messages are JSON objects")
    return decoded


def read_id(message: dict[str, Any]) -> str:
    """The message's operation id.

    Raises:
        Closed: it has none.
    """
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= _MAX_ID_CHARACTERS:
        raise Closed(4400, "A message of this type needs an id")
    return id_


def read_payload(message: dict[str, Any]) -> dict[str, Any]:
    """The message's payload, empty without one.

    Raises:
        Closed: it is no object.
    """
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise Closed(4400, "The payload must be an object")
    return payload or _NONE


def read_authorization(payload: dict[str, Any]) -> str | None:
    """The payload's authorization; None without one.

    Raises:
        Closed: it is no string.
    """
    authorization = payload.get("authorization", payload.get("Authorization"))
    if not isinstance(authorization, str | None):
        raise Closed(4400, "The authorization must be a string")
    return authorization
