"""Supervision of the endless tasks of a process: none ends before it is closed.

A task that fails is started again after a pause that grows, is counted, and is logged once per
outage and then once a minute. `list_tasks` says to /ready how each one is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from weakref import WeakSet

from redis.exceptions import RedisError

from services.errors import UpstreamUnavailable
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import Cause, OutageLog

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_CANCEL_AGAIN_SECONDS = 0.5

_OF_CONNECTIONS = (OSError, TimeoutError, RedisError, UpstreamUnavailable)

log = get_logger("supervision")


class TaskStatus(Enum):
    """Whether an endless task does its work."""

    RUNNING = "running"
    RESTARTING = "restarting"


_tasks: WeakSet[TaskRecord] = WeakSet()  # those that go on


class TaskRecord:
    """How a task is that runs when there is work; a new one is started for what comes next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._outage = OutageLog(log, "task")
        _tasks.add(self)

    @property
    def status(self) -> TaskStatus:
        """Whether it works: it failed, and has not said since then that it is well again."""
        return TaskStatus.RESTARTING if self._outage.is_open else TaskStatus.RUNNING

    def record_success(self) -> None:
        """Note that the work goes well."""
        self._outage.record_recovery(task=self.name)

    def record_failure(self, error: BaseException) -> None:
        """Count a failure and log it, once a minute; the work itself may have gone on."""
        metrics.task_failures_total.labels(self.name).inc()
        reason = f"{type(error).__name__}: {error}"[:200]
        cause = Cause.CONNECTION if isinstance(error, _OF_CONNECTIONS) else Cause.FAULT
        self._outage.record_failure(cause=cause, task=self.name, error=reason)


class SupervisedTask(TaskRecord):
    """An endless task; `work` is run again whenever it returns or raises, until closed.

    Args:
        name: in logs, metrics and /ready.
        on_failure: called in the loop after each failure, before the pause.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        on_failure: Callable[[], None] = lambda: None,
        longest_pause_seconds: float = _LONGEST_PAUSE_SECONDS,
    ) -> None:
        super().__init__(name)
        _tasks.discard(self)  # until it is started
        self.is_closed = False
        self._work = work
        self._on_failure = on_failure
        self._longest_pause = longest_pause_seconds
        self._pause = _FIRST_PAUSE_SECONDS
        self._task: asyncio.Task[None] | None = None

    @property
    def is_started(self) -> bool:
        """Whether it was started and not closed."""
        return self._task is not None and not self.is_closed

    def start(self) -> None:
        """Start the task, unless it is started."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self.name)
            _tasks.add(self)

    def record_success(self) -> None:
        """Note that the work goes well: the next pause is a short one again."""
        self._pause = _FIRST_PAUSE_SECONDS
        super().record_success()

    async def join(self) -> None:
        """Wait for the end of the current run, which is the last one."""
        self.is_closed = True
        _tasks.discard(self)
        if self._task is not None:
            await self._task

    async def aclose(self) -> None:
        """End the task, though a library may swallow its cancellation."""
        self.is_closed = True
        _tasks.discard(self)
        task = self._task
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)

    async def _run(self) -> None:
        while not self.is_closed:
            try:
                await self._work()
            except asyncio.CancelledError as error:
                current = asyncio.current_task()
                if self.is_closed or current is None or current.cancelling():
                    raise
                self.record_failure(error)  # of something it waited for
            except Exception as error:
                self.record_failure(error)
            if not self.is_closed:
                self._on_failure()
                await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
                self._pause = min(2 * self._pause, self._longest_pause)


def list_tasks() -> dict[str, TaskStatus]:
    """List the endless tasks of this process by name; of equal names the worst."""
    statuses: dict[str, TaskStatus] = {}
    for task in sorted(_tasks, key=lambda one: one.name):
        if statuses.get(task.name) is not TaskStatus.RESTARTING:
            statuses[task.name] = task.status
    return statuses
