"""Calls of Lua scripts in Redis; calls made at the same time are sent together.

They go on the link's pipelined connection (wire/), or by redis-py where that is off or cannot: it
takes about 60 us for a round trip, whatever it carries, so while one pipeline is under way further
calls queue for the next. A script missing in Redis is sent in full, once for all its calls. A call
that failed never returns an answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from services.errors import UpstreamUnavailable
from services.redis.guard import Guard, is_failure
from services.redis.wire.client import Fallback, WireClient
from services.supervision import TaskRecord

_SERVICES = Path(__file__).parents[1]
_PIPELINE_CALLS = 200  # in one pipeline: about 3 ms of Redis's time
_WAITING_CALLS = 10_000  # beyond it calls are refused with a Retry-After
_TOO_MANY = "Too many calls wait for Redis."


class Script:
    """A Lua script, joined from `services/<subject>/lua/<name>.lua`, and its SHA-1.

    `constants` is Lua text to put before them.
    """

    def __init__(self, subject: str, *names: str, constants: str = "") -> None:
        folder = _SERVICES / subject / "lua"
        files = [(folder / f"{name}.lua").read_bytes() for name in names]
        self.text = b"\n".join([constants.encode(), *files] if constants else files)
        self.sha = hashlib.sha1(self.text).hexdigest()  # noqa: S324 - Redis's own name for it


class _Call(NamedTuple):
    script: Script
    parts: tuple[Any, ...]
    answer: asyncio.Future[Any]


class ScriptCalls:
    """Calls to one server; a link has one (link.py).

    Args:
        wire: sends them; None: redis-py does, from a queue.
    """

    def __init__(self, redis: Redis, guard: Guard, wire: WireClient | None = None) -> None:
        self._wire = wire
        self._loads: dict[str, asyncio.Future[Any]] = {}  # the last of each script, by SHA-1
        self._record = TaskRecord(f"{guard.name} scripts")
        self._redis = redis
        self._guard = guard
        self._waiting: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None

    async def call(self, script: Script, key_count: int, *parts: Any) -> Any:
        """Run a script.

        Args:
            key_count: how many of `parts` are keys.
            parts: the keys, then the arguments.

        Raises:
            UpstreamUnavailable: Redis is away, full or refused; the script may or may not have run.
        """
        self._guard.check()
        wire = self._wire
        if wire is None:
            return await self._call_by_driver(script, key_count, parts)
        try:
            answer = await wire.send("EVALSHA", script.sha, key_count, *parts)
            if isinstance(answer, NoScriptError):
                self._load(wire, script)  # which arrives before what is sent next
                answer = await wire.send("EVALSHA", script.sha, key_count, *parts)
            if isinstance(answer, NoScriptError):  # by another connection, or not permitted
                answer = await wire.send("EVAL", script.text, key_count, *parts)
        except Fallback:
            return await self._call_by_driver(script, key_count, parts)
        if isinstance(answer, Exception):
            raise self._guard.translate(answer)
        return answer

    def _load(self, wire: WireClient, script: Script) -> None:
        """Send a script in full, unless that is under way; no caller can cancel it."""
        load = self._loads.get(script.sha)
        if load is None or load.done():
            self._loads[script.sha] = wire.send("SCRIPT", "LOAD", script.text)

    async def _call_by_driver(self, script: Script, key_count: int, parts: tuple[Any, ...]) -> Any:
        if len(self._waiting) >= _WAITING_CALLS:
            raise UpstreamUnavailable(_TOO_MANY, retry_after_seconds=1)
        call = _Call(script, (key_count, *parts), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        return await call.answer

    async def _send_all(self) -> None:
        """Send all waiting calls, from the loop's next iteration on: those of this one share it."""
        try:
            while self._waiting:
                calls = self._waiting[:_PIPELINE_CALLS]
                del self._waiting[:_PIPELINE_CALLS]
                await self._send(calls)
            self._record.record_success()
        except BaseException as error:  # cancelled: nobody would send what still waits
            self._record.record_failure(error)
            waiting, self._waiting = self._waiting, []
            self._fail(waiting, error)
            raise
        finally:
            self._sender = None

    async def _send(self, calls: list[_Call]) -> None:
        try:
            unknown = self._settle(calls, await self._execute(calls))
            if unknown:
                for text in {call.script.text for call in unknown}:
                    await self._redis.script_load(text)
                self._settle(unknown, await self._execute(unknown), final=True)
        except Exception as error:
            if is_failure(error) or len(calls) == 1:
                self._fail(calls, error)
                return
            for call in calls:  # one that cannot be packed must not fail its neighbours
                await self._send([call])
        except BaseException as error:
            self._fail(calls, error)  # or their callers would wait for ever
            raise

    async def _execute(self, calls: list[_Call]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for script, parts, _ in calls:
            pipeline.execute_command("EVALSHA", script.sha, *parts)
        return await pipeline.execute(raise_on_error=False)

    def _settle(
        self, calls: list[_Call], answers: list[Any], *, final: bool = False
    ) -> list[_Call]:
        """Set each call's result; returns the calls whose script Redis does not have."""
        unknown = []
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, NoScriptError) and not final:
                unknown.append(call)
            elif isinstance(answer, Exception):
                self._fail([call], answer)
            elif not call.answer.done():  # a cancelled caller left
                call.answer.set_result(answer)
        return unknown

    def _fail(self, calls: list[_Call], error: BaseException) -> None:
        """Fail the calls at once; faults of ours reach their caller as they are."""
        for call in calls:
            if call.answer.done():
                continue
            is_ours = isinstance(error, Exception) and not is_failure(error)
            call.answer.set_exception(error if is_ours else self._guard.translate(error))
