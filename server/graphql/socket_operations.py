"""The operations of one socket: concurrent, each with an id, a context and an end.

An operation without a client is cancelled, but a mutation that has begun runs to its end: half of
one would be worse than none. Its answer is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.websockets import WebSocketDisconnect

from graph.engine.operations import Answer, Operations, Prepared
from resolvers.context import Context, Viewer
from server.faults import is_ending, mask_fault
from server.graphql.delivery.live_delivery import LiveDelivery, Wire
from server.graphql.http import is_our_fault
from server.graphql.messages import Closed
from server.graphql.operation_log import OperationLog, OperationRecord
from server.graphql.replies import Refused
from server.graphql.requests import parse_request
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("graphql_ws")
MAX_OPERATIONS = 100
Send = Callable[[dict[str, Any]], Awaitable[None]]


class CompletedByClient(Exception):
    """The client has completed the operation and takes no answer."""


@dataclass(eq=False, slots=True)
class RunningOperation:
    """One operation of the socket."""

    id: str
    payload: Any
    record: OperationRecord
    is_mutation: bool = False
    task: asyncio.Task[None] | None = None
    delivery: LiveDelivery | None = None

    def cancel(self) -> None:
        """Cancel the operation, unless it is a mutation; no event is delivered after this."""
        if self.delivery is not None:
            self.delivery.stop()
        if self.task is not None and not self.is_mutation:
            self.task.cancel()


class SocketOperations:
    """The socket's operations.

    Args:
        send: sends a message and waits until it went out.
        wire: the socket's transport, for messages that nobody waits for; None: not this server's.
    """

    def __init__(
        self, operations: Operations, log: OperationLog, send: Send, wire: Wire | None = None
    ) -> None:
        self._operations = operations
        self._wire = wire
        self._log = log
        self._send = send
        self._running: dict[str, RunningOperation] = {}
        self._tasks: dict[asyncio.Task[None], RunningOperation] = {}  # those that are ending, too
        self._idle_since = asyncio.get_running_loop().time()

    @property
    def quiet_seconds(self) -> float:
        """For how many seconds no operation has been running."""
        if self._running:
            return 0.0
        return asyncio.get_running_loop().time() - self._idle_since

    # ---- beginning and ending

    def begin(self, operation_id: str, payload: Any, context: Context) -> None:
        """Start an operation.

        Raises:
            Closed: the id is in use, or too many operations are running.
        """
        if operation_id in self._running:
            raise Closed(4409, f"Subscriber for {operation_id[:60]} already exists")
        if max(len(self._running), len(self._tasks) // 2) >= MAX_OPERATIONS:
            raise Closed(4429, f"At most {MAX_OPERATIONS} operations at once")
        context.runtime.ops.abuse_watch.record_request(context.client_address, context.viewer_id)
        record = OperationRecord(context, outcome="cancelled")  # unless it is heard of again
        running = self._running[operation_id] = RunningOperation(operation_id, payload, record)
        task = running.task = asyncio.create_task(self._operation(running))
        self._tasks[task] = running
        task.add_done_callback(self._tasks.pop)

    def cancel(self, operation_id: str) -> None:
        """Cancel the operation with this id, if there is one."""
        running = self._running.get(operation_id)
        if running is not None:
            self._remove(running)
            running.cancel()

    def cancel_streams(self) -> None:
        """Cancel all subscriptions."""
        for running in self._running.values():
            if running.record.is_stream:
                running.cancel()

    def renew(self, viewer: Viewer) -> None:
        """Give streams the rights of this viewer, from their next event on."""
        for running in self._running.values():
            if running.record.is_stream:
                running.record.context.viewer = viewer

    async def finish(self, seconds: float) -> None:
        """Let running operations end, for so many seconds at most."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)

    async def stop(self) -> None:
        """Cancel all operations but mutations."""
        for running in self._tasks.values():
            running.cancel()
        ending = [task for task, running in self._tasks.items() if not running.is_mutation]
        await asyncio.gather(*ending, return_exceptions=True)

    def _remove(self, running: RunningOperation) -> None:
        """Free the id, unless it is another operation's by now."""
        if self._running.get(running.id) is running:
            del self._running[running.id]
            self._idle_since = asyncio.get_running_loop().time()

    # ---- running

    async def _operation(self, running: RunningOperation) -> None:
        record = running.record
        try:
            if await self._run(running):
                await self._end(running, {"type": "complete", "id": running.id})
                record.outcome = "complete"
            else:
                record.outcome = "refused"
        except CompletedByClient:
            pass
        except WebSocketDisconnect:
            record.outcome = "gone"
        except BaseException as error:  # a fault of one operation must not silence it
            if is_ending(error):
                raise
            request_id = record.context.request_id
            log.error("operation_failed", request_id=request_id, exc_info=error)
            record.outcome, record.is_our_fault = "failed", True
            with suppress(CompletedByClient):
                await self._refuse(running, [mask_fault(request_id)])
        finally:
            self._remove(running)
            self._log.write(record)

    async def _run(self, running: RunningOperation) -> bool:
        """Send the answers; False when the last message was an error, which needs no complete."""
        record, context = running.record, running.record.context
        try:
            request, running.payload = parse_request(running.payload), None
            prepared = await self._operations.admit(request, context)
            del request  # a subscription lives for hours
        except Refused as refused:
            return await self._refuse(running, orjson.loads(refused.body())["errors"])
        if isinstance(prepared, Answer):
            return await self._send_prepared(running, prepared)
        record.label = prepared.operation.label
        record.is_stream = prepared.operation.kind == "subscription"
        running.is_mutation = prepared.operation.kind == "mutation"
        if record.is_stream:
            return await self._stream(running, prepared)
        answer = await self._operations.run(prepared, context)
        if not answer.started:
            return await self._refuse(running, answer.errors)
        record.is_our_fault = is_our_fault(answer)
        await self._next(running, answer)
        return True

    async def _send_prepared(self, running: RunningOperation, answer: Answer) -> bool:
        """Send an answer that needed no execution: a cached public one, or a refusal."""
        if not answer.started:
            return await self._refuse(running, answer.errors)
        await self._next(running, answer)
        return True

    async def _stream(self, running: RunningOperation, prepared: Prepared) -> bool:
        stream = self._operations.subscribe(prepared, running.record.context)
        with metrics.active_streams.track_inprogress():
            async with aclosing(stream) as answers:
                if self._wire is not None and await stream.open():
                    running.delivery = LiveDelivery(stream, self._wire, running.id)
                    refusal = await running.delivery.run()
                    return refusal is None or await self._refuse(running, refusal.errors)
                async for answer in answers:
                    if not answer.started:
                        return await self._refuse(running, answer.errors)
                    await self._next(running, answer)
        return True

    # ---- answering

    async def _next(self, running: RunningOperation, answer: Answer) -> None:
        self._check_active(running)
        payload = orjson.Fragment(answer.encoded())
        await self._send({"type": "next", "id": running.id, "payload": payload})

    async def _refuse(self, running: RunningOperation, errors: list[Any]) -> bool:
        await self._end(running, {"type": "error", "id": running.id, "payload": errors})
        return False

    def _check_active(self, running: RunningOperation) -> None:
        if self._running.get(running.id) is not running:
            raise CompletedByClient

    async def _end(self, running: RunningOperation, message: dict[str, Any]) -> None:
        """Send the operation's last message; the client may then reuse the id."""
        self._check_active(running)
        self._remove(running)
        with suppress(WebSocketDisconnect):
            await self._send(message)
