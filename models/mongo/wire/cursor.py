"""One read to its end on one connection: the command, and a `getMore` for each further batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ExecutionTimeout, NotPrimaryError, OperationFailure

from models.mongo.wire.commands import Command, build_get_more
from models.mongo.wire.connection import WireConnection
from models.mongo.wire.framing import (
    MalformedAnswer,
    document_bytes,
    encode_request,
    next_request_id,
)

Row = dict[str, Any]


class TooLarge(Exception):
    """The command is larger than the server takes."""


class Cursor:
    """A read of one collection on one connection.

    Args:
        deadline: of the monotonic clock, for all batches together.
    """

    def __init__(
        self, connection: WireConnection, collection: AsyncCollection[Row], deadline: float
    ) -> None:
        self._connection = connection
        self._database = collection.database.name
        self._collection = collection.name
        self._options: CodecOptions[Row] = collection.codec_options
        self._deadline = deadline

    async def read(self, command: Command, batch_size: int) -> list[Row]:
        """All rows; `command` gets its deadline and the database's name.

        Raises:
            PyMongoError: the server refused, or did not answer in time.
            ConnectionLost, MalformedAnswer, TooLarge: PyMongo is to read instead.
        """
        command["maxTimeMS"] = self._most_milliseconds()
        cursor = await self._run(command)
        rows: list[Row] = cursor["firstBatch"]
        while cursor_id := cursor["id"]:
            try:
                more = build_get_more(self._collection, cursor_id, batch_size)
                cursor = await self._run(more)
            except BaseException:
                self._connection.driver.kill_cursor(cursor_id, cursor["ns"])
                raise
            rows += cursor["nextBatch"]
        return rows

    async def _run(self, command: Command) -> Mapping[str, Any]:
        """Run a command; returns the cursor of its answer."""
        command["$db"] = self._database
        driver = self._connection.driver
        request_id = next_request_id()
        message = encode_request(request_id, command, self._options)
        if document_bytes(message) > driver.most_document_bytes:
            raise TooLarge
        seconds = self._deadline - time.monotonic()
        telemetry = driver.start_telemetry(command, self._database, request_id)
        try:
            answer = self._decode(await self._connection.run(request_id, message, seconds))
            driver.check_answer(answer)
        except Exception as error:
            if telemetry is not None:
                failure, is_refusal = _describe(error)
                telemetry.failed(failure, next(iter(command)), is_refusal)
            raise
        if telemetry is not None:
            telemetry.succeeded(answer, next(iter(command)), False)
        cursor: Mapping[str, Any] = answer["cursor"]
        return cursor

    def _decode(self, document: bytes) -> Row:
        try:
            return bson.decode(document, self._options)
        except (BSONError, ValueError, OverflowError) as error:  # such as a date beyond Python's
            raise MalformedAnswer(str(error)) from error

    def _most_milliseconds(self) -> int:
        """Time for the server: what is left, without the way there and back."""
        way = self._connection.driver.round_trip_seconds
        left = int((self._deadline - time.monotonic() - way) * 1000)
        if left < 1:
            details = {"ok": 0, "errmsg": "No time is left for this read.", "code": 50}
            raise ExecutionTimeout(str(details["errmsg"]), 50, details)
        return left


def _describe(error: Exception) -> tuple[Any, bool]:
    """What listeners are told of a failure, and whether the server said it."""
    if isinstance(error, OperationFailure | NotPrimaryError):
        return error.details, True
    return {"errmsg": str(error), "errtype": type(error).__name__}, False
