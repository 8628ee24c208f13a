"""Awaits one level: one call per loader, everything else concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from inspect import isawaitable
from itertools import chain
from types import CoroutineType
from typing import Any

from graph.base.fields import FieldKind
from graph.engine.execution.deadline import Deadline
from graph.engine.execution.plan import FieldPlan
from graph.engine.execution.state import Run
from loaders import CachedLoader
from services.errors import OperationTimeout

Take = Callable[[Any], None]
LISTS_OF_KEYS = {list, tuple}  # classes of a parent's keys in the common form


@dataclass(slots=True, eq=False)
class Pending:
    """A field of a batch that waits.

    `values` has one value or Exception per parent; for relations `keys` has each parent's keys,
    `distinct` all of them once, and `loaded` the records by key, perhaps with others.
    """

    field: FieldPlan
    rows: Sequence[Any]
    outs: Sequence[dict[str, Any]]
    keys: list[Any] = default(default_factory=list)
    distinct: dict[str, None] = default(default_factory=dict)
    loaded: Mapping[str, Any] | Exception = default(default_factory=dict)
    values: list[Any] = default(default_factory=list)


@dataclass(slots=True)
class _LoaderBatch:
    keys: dict[str, None] = default(default_factory=dict)
    needs: frozenset[str] = frozenset()
    entries: list[Pending] = default(default_factory=list)


async def gather_level(run: Run, level: list[Pending]) -> None:
    """Fill each entry's `loaded` or `values`; failures are stored, never raised."""
    loader_batches: dict[type[CachedLoader[Any]], _LoaderBatch] = {}
    waiting: list[tuple[Awaitable[Any], Take]] = []
    for entry in level:
        try:
            run.check_role(entry.field)
            _start(run, entry, loader_batches, waiting)
        except Exception as error:
            _refuse(entry, error)
    for loader, batch in loader_batches.items():
        waiting += _load(run, loader, batch)
    await _wait_for(run, waiting)


def _start(
    run: Run,
    entry: Pending,
    loader_batches: dict[type[CachedLoader[Any]], _LoaderBatch],
    waiting: list[tuple[Awaitable[Any], Take]],
) -> None:
    spec = entry.field.spec
    if spec.kind is FieldKind.RELATION:
        assert spec.loader is not None
        _collect_keys(run, entry, loader_batches.setdefault(spec.loader, _LoaderBatch()))
    elif spec.kind is FieldKind.BATCHED:
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


def _collect_keys(run: Run, entry: Pending, batch: _LoaderBatch) -> None:
    batch.entries.append(entry)
    batch.needs |= entry.field.needs
    try:
        entry.keys = run.call_each(entry.field, entry.rows)
        entry.distinct = _list_distinct(entry.keys)
    except Exception:  # of one parent: the others have keys
        entry.keys = [_read_keys(run, entry.field, row) for row in entry.rows]
        entry.distinct = _list_distinct(entry.keys)
    batch.keys.update(entry.distinct)


def _read_keys(run: Run, field: FieldPlan, row: Any) -> Any:
    """Return one parent's keys, or the exception for which it has none."""
    try:
        keys = run.call(field, row)
        _list_distinct([keys])
    except Exception as error:
        return error
    return keys


def _list_distinct(keys_by_parent: list[Any]) -> dict[str, None]:
    classes = set(map(type, keys_by_parent))
    if classes <= LISTS_OF_KEYS:
        return dict.fromkeys(chain.from_iterable(keys_by_parent))
    distinct: dict[str, None] = {}
    for keys in keys_by_parent:
        if isinstance(keys, str):
            distinct[keys] = None
        elif keys is not None and not isinstance(keys, Exception):
            distinct.update(dict.fromkeys(keys))
    return distinct


def _load(
    run: Run, loader: type[CachedLoader[Any]], batch: _LoaderBatch
) -> list[tuple[Awaitable[Any], Take]]:
    """Return what to await for one loader; nothing where process memory has every key."""

    def take(result: Any) -> None:
        for entry in batch.entries:
            entry.loaded = result
            if isinstance(result, Exception):
                entry.values = [_failed_value(keys, result) for keys in entry.keys]

    try:
        one = run.context.loader(loader)
        ready: Any = one.peek(batch.keys, batch.needs)
    except Exception as error:
        ready = error
    if ready is None:
        return [(one.many(batch.keys, batch.needs), take)]
    take(ready)
    return []


def _failed_value(keys: Any, error: Exception) -> Any:
    """Return the value of a parent whose loader failed: an error only where it has keys."""
    if keys is None or isinstance(keys, Exception):
        return keys
    return error if keys or isinstance(keys, str) else []


async def _wait_for(run: Run, waiting: list[tuple[Awaitable[Any], Take]]) -> None:
    if len(waiting) == 1:
        ((awaitable, take),) = waiting
        take(await _await_one(awaitable, run.deadline))
    elif waiting:
        await _await_all(waiting, run.deadline)


async def _await_one(awaitable: Awaitable[Any], deadline: Deadline | None) -> Any:
    try:
        return await (deadline.limit(awaitable) if deadline is not None else awaitable)
    except TimeoutError as error:
        return (
            _deadline_error()
            if deadline is not None and not deadline.remaining_seconds()
            else error
        )
    except Exception as error:
        return error


async def call_one(run: Run, field: FieldPlan, row: Any) -> Any:
    """Return the value (or Exception) of a resolver's field for one parent."""
    try:
        run.check_role(field)
        value = run.call(field, row)
    except Exception as error:
        return error
    if value.__class__ is CoroutineType or isawaitable(value):
        return await _await_one(value, run.deadline)
    return value


async def _await_all(waiting: list[tuple[Awaitable[Any], Take]], deadline: Deadline | None) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable, _ in waiting]
    remaining = None if deadline is None else deadline.remaining_seconds()
    try:
        await asyncio.wait(tasks, timeout=remaining)
    finally:
        for task in tasks:
            task.cancel()  # those not done; a no-op for the others
    for task, (_, take) in zip(tasks, waiting, strict=True):
        take(_result(task))


def _result(task: asyncio.Future[Any]) -> Any:
    if not task.done() or task.cancelled():
        return _deadline_error()
    return task.exception() or task.result()


def _deadline_error() -> OperationTimeout:
    return OperationTimeout("The operation's deadline passed before this field was ready.")
