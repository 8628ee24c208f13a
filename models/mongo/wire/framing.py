"""OP_MSG messages: a request encoded, an answer collected from its pieces and checked.

Source: "MongoDB Wire Protocol" in MongoDB's manual.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions

_OP_MSG = 2013
_BODY = 0  # the kind of a section that is one document
_HEADER = struct.Struct("<iiiiIB")  # length, request id, answers which, opcode, flags, kind
_LENGTH = struct.Struct("<i")
_MOST_REQUEST_IDS = 0x7FFFFFFF  # ids are signed 32-bit numbers
_sent = itertools.count()  # not `cycle`, which keeps all that it has given


class MalformedAnswer(Exception):
    """What arrived is no answer to the request: the connection cannot be used any more."""


def next_request_id() -> int:
    """An id that no other request of this process has had for long."""
    return next(_sent) % _MOST_REQUEST_IDS + 1


def encode_request(
    request_id: int, command: Mapping[str, Any], options: CodecOptions[Any]
) -> bytes:
    """Encode a command, with its `$db`, as one message."""
    body = bson.encode(command, codec_options=options)
    return _HEADER.pack(_HEADER.size + len(body), request_id, 0, _OP_MSG, 0, _BODY) + body


def document_bytes(message: bytes) -> int:
    """Size of the document in a message."""
    return len(message) - _HEADER.size


def extract_document(message: bytes, request_id: int) -> bytes:
    """The BSON document of a whole message that answers this request.

    Raises:
        MalformedAnswer: it answers another one, or is of a form that was not asked for.
    """
    _, _, answers, opcode, flags, kind = _HEADER.unpack_from(message)
    if answers != request_id or opcode != _OP_MSG or flags or kind != _BODY:
        raise MalformedAnswer("an answer of another form, or to another request")
    return message[_HEADER.size :]


class AnswerBuffer:
    """Collects the pieces of one answer at a time.

    Args:
        most_bytes: the longest message of the server.
    """

    __slots__ = ("_expected", "_most_bytes", "_pieces", "_size")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._expected = 0

    @property
    def is_empty(self) -> bool:
        """Whether no answer has begun."""
        return not self._pieces

    def feed(self, data: bytes) -> bytes | None:
        """Add a piece; returns the message once it is whole.

        Raises:
            MalformedAnswer: its length cannot be, or more follows it.
        """
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._expected:  # 0 while not even the length is whole
                return None
            data = b"".join(self._pieces)
            self._pieces = [data]
        expected = self._expected or self._parse_length(data)
        if expected and len(data) == expected:
            self._pieces, self._size, self._expected = [], 0, 0
            return data
        if expected and len(data) > expected:
            raise MalformedAnswer("more than one answer")
        self._pieces, self._size, self._expected = [data], len(data), expected
        return None

    def _parse_length(self, data: bytes) -> int:
        """The length of the whole message; 0 while that is not known."""
        if len(data) < _LENGTH.size:
            return 0
        length: int = _LENGTH.unpack_from(data)[0]
        if not _HEADER.size < length <= self._most_bytes:
            raise MalformedAnswer("an answer of a length that cannot be")
        return length
