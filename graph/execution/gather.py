"""The waiting of one level: every loader asked once, everything else at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from graph.execution.plan import FieldPlan
from graph.execution.state import Run
from graph.fields import How
from loaders import CachedLoader
from services.errors import OperationTimeout

Take = Callable[[Any], None]


@dataclass(slots=True, eq=False)
class Pending:
    """A field of a batch that waits. `values` has one value or Exception per parent; for relations
    `keys` has what each parent names and `loaded` the things by key."""

    field: FieldPlan
    rows: Sequence[Any]
    outs: Sequence[dict[str, Any]]
    keys: list[Any] = field(default_factory=list)
    loaded: dict[str, Any] | Exception = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Want:
    keys: dict[str, None] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    entries: list[Pending] = field(default_factory=list)


async def gather_level(run: Run, level: list[Pending]) -> None:
    """Fills each entry's `loaded` or `values`; failures are stored, never raised."""
    wants: dict[type[CachedLoader[Any]], _Want] = {}
    waiting: list[tuple[Awaitable[Any], Take]] = []
    for entry in level:
        try:
            run.allowed(entry.field)
            _start(run, entry, wants, waiting)
        except Exception as error:  # noqa: BLE001 - becomes the field's error
            _refuse(entry, error)
    for loader, want in wants.items():
        waiting += _load(run, loader, want)
    await _wait_for(run, waiting)


def _start(
    run: Run,
    entry: Pending,
    wants: dict[type[CachedLoader[Any]], _Want],
    waiting: list[tuple[Awaitable[Any], Take]],
) -> None:
    spec = entry.field.spec
    if spec.how is How.RELATION:
        assert spec.loader is not None
        _collect_keys(run, entry, wants.setdefault(spec.loader, _Want()))
    elif spec.how is How.BATCHED:
        waiting.append((run.call(entry.field, list(entry.rows)), _into_all(entry)))
    else:
        entry.values = [None] * len(entry.rows)
        for index, row in enumerate(entry.rows):
            _start_one(run, entry, index, row, waiting)


def _start_one(
    run: Run, entry: Pending, index: int, row: Any, waiting: list[tuple[Awaitable[Any], Take]]
) -> None:
    try:
        value = run.call(entry.field, row)
    except Exception as error:  # noqa: BLE001 - becomes this parent's error
        value = error
    if isawaitable(value):
        waiting.append((value, _into_one(entry, index)))
    else:
        entry.values[index] = value


def _into_all(entry: Pending) -> Take:
    def take(result: Any) -> None:
        if isinstance(result, Exception):
            _refuse(entry, result)
            return
        entry.values = list(result)
        if len(entry.values) != len(entry.rows):
            _refuse(entry, RuntimeError(f"{entry.field.name}: one result per parent is needed"))

    return take


def _into_one(entry: Pending, index: int) -> Take:
    def take(result: Any) -> None:
        entry.values[index] = result

    return take


def _refuse(entry: Pending, error: Exception) -> None:
    entry.loaded = error
    entry.values = [error] * len(entry.rows)


def _collect_keys(run: Run, entry: Pending, want: _Want) -> None:
    want.entries.append(entry)
    want.needs |= entry.field.needs
    wanted = want.keys
    for row in entry.rows:
        try:
            keys = run.call(entry.field, row)
        except Exception as error:  # noqa: BLE001 - becomes this parent's error
            keys = error
        entry.keys.append(keys)
        if keys.__class__ is str:
            wanted[keys] = None
        elif keys is not None and not isinstance(keys, Exception):
            wanted.update(dict.fromkeys(keys))


def _load(
    run: Run, loader: type[CachedLoader[Any]], want: _Want
) -> list[tuple[Awaitable[Any], Take]]:
    """Nothing to wait for when this process already holds everything."""

    def take(result: Any) -> None:
        for entry in want.entries:
            entry.loaded = result

    one = run.context.loader(loader)
    ready = one.ready(want.keys, want.needs)
    if ready is None:
        return [(one.many(want.keys, want.needs), take)]
    take(ready)
    return []


async def _wait_for(run: Run, waiting: list[tuple[Awaitable[Any], Take]]) -> None:
    if len(waiting) == 1:
        ((awaitable, take),) = waiting
        take(await _one(awaitable, run.deadline))
    elif waiting:
        await _many(waiting, run.deadline)


async def _one(awaitable: Awaitable[Any], deadline: float | None) -> Any:
    try:
        async with asyncio.timeout_at(deadline) as limit:
            return await awaitable
    except TimeoutError as error:
        return _too_late() if limit.expired() else error
    except Exception as error:  # noqa: BLE001 - becomes the field's error
        return error


async def _many(waiting: list[tuple[Awaitable[Any], Take]], deadline: float | None) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable, _ in waiting]
    left = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
    try:
        await asyncio.wait(tasks, timeout=left)
    finally:
        for task in tasks:
            task.cancel()  # what is left; nothing for those done
    for task, (_, take) in zip(tasks, waiting, strict=True):
        take(_result(task))


def _result(task: asyncio.Future[Any]) -> Any:
    if not task.done():
        return _too_late()
    return task.exception() or task.result()


def _too_late() -> OperationTimeout:
    return OperationTimeout("The operation's deadline passed before this field was ready.")
