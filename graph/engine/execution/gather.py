"""The waiting of one level: every loader asked once, everything else at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from inspect import isawaitable
from types import CoroutineType
from typing import Any

from graph.base.fields import How
from graph.engine.execution.deadline import Deadline
from graph.engine.execution.plan import FieldPlan
from graph.engine.execution.state import Run
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
    keys: list[Any] = default(default_factory=list)
    loaded: dict[str, Any] | Exception = default(default_factory=dict)
    values: list[Any] = default(default_factory=list)


@dataclass(slots=True)
class _Want:
    keys: dict[str, None] = default(default_factory=dict)
    needs: frozenset[str] = frozenset()
    entries: list[Pending] = default(default_factory=list)


async def gather_level(run: Run, level: list[Pending]) -> None:
    """Fills each entry's `loaded` or `values`; failures are stored, never raised."""
    wants: dict[type[CachedLoader[Any]], _Want] = {}
    waiting: list[tuple[Awaitable[Any], Take]] = []
    for entry in level:
        try:
            run.allowed(entry.field)
            _start(run, entry, wants, waiting)
        except Exception as error:
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
    except Exception as error:
        value = error
    if isawaitable(value):
        waiting.append((value, _into_one(entry, index)))
    else:
        entry.values[index] = value


def _into_all(entry: Pending) -> Take:
    def take(result: Any) -> None:
        try:
            entry.values = _per_parent(entry, result)
        except Exception as error:
            _refuse(entry, error)

    return take


def _per_parent(entry: Pending, result: Any) -> list[Any]:
    if isinstance(result, Exception):
        raise result
    values = list(result)
    if len(values) != len(entry.rows):
        raise RuntimeError(f"{entry.field.name}: one result per parent is needed")
    return values


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
            if isinstance(keys, str):
                wanted[keys] = None
            elif keys is not None:
                wanted.update(dict.fromkeys(keys))
        except Exception as error:
            keys = error
        entry.keys.append(keys)


def _load(
    run: Run, loader: type[CachedLoader[Any]], want: _Want
) -> list[tuple[Awaitable[Any], Take]]:
    """Nothing to wait for when this process already holds everything."""

    def take(result: Any) -> None:
        for entry in want.entries:
            entry.loaded = result
            if isinstance(result, Exception):
                entry.values = [_unloaded(keys, result) for keys in entry.keys]

    try:
        one = run.context.loader(loader)
        ready: Any = one.ready(want.keys, want.needs)
    except Exception as error:
        ready = error
    if ready is None:
        return [(one.many(want.keys, want.needs), take)]
    take(ready)
    return []


def _unloaded(keys: Any, error: Exception) -> Any:
    """The value of a parent whose loader failed: an error only where something was asked for."""
    if keys is None or isinstance(keys, Exception):
        return keys
    return error if keys or isinstance(keys, str) else []


async def _wait_for(run: Run, waiting: list[tuple[Awaitable[Any], Take]]) -> None:
    if len(waiting) == 1:
        ((awaitable, take),) = waiting
        take(await _one(awaitable, run.deadline))
    elif waiting:
        await _many(waiting, run.deadline)


async def _one(awaitable: Awaitable[Any], deadline: Deadline | None) -> Any:
    try:
        return await (deadline.limit(awaitable) if deadline is not None else awaitable)
    except TimeoutError as error:
        return _too_late() if deadline is not None and not deadline.seconds_left() else error
    except Exception as error:
        return error


async def call_one(run: Run, field: FieldPlan, row: Any) -> Any:
    """The value (or Exception) of a resolver's field for one parent."""
    try:
        run.allowed(field)
        value = run.call(field, row)
    except Exception as error:
        return error
    if value.__class__ is CoroutineType or isawaitable(value):
        return await _one(value, run.deadline)
    return value


async def _many(waiting: list[tuple[Awaitable[Any], Take]], deadline: Deadline | None) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable, _ in waiting]
    left = None if deadline is None else deadline.seconds_left()
    try:
        await asyncio.wait(tasks, timeout=left)
    finally:
        for task in tasks:
            task.cancel()  # what is left; nothing for those done
    for task, (_, take) in zip(tasks, waiting, strict=True):
        take(_result(task))


def _result(task: asyncio.Future[Any]) -> Any:
    if not task.done() or task.cancelled():
        return _too_late()
    return task.exception() or task.result()


def _too_late() -> OperationTimeout:
    return OperationTimeout("The operation's deadline passed before this field was ready.")
