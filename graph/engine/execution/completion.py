"""From values to answer: builds children in batches and puts them in their places.

The common forms (an object, a list of objects, all of one class) have a fast path; everything else
follows the specification's CompleteValue (section 6.4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError, is_list_type, is_non_null_type, is_union_type
from graphql.pyutils import is_iterable

from graph.base.fields import FieldKind
from graph.engine.execution.failures import coerce_leaf, null_in_non_null
from graph.engine.execution.gather import LISTS_OF_KEYS, Pending
from graph.engine.execution.lasting import build_lasting
from graph.engine.execution.plan import FieldPlan, GroupPlan
from graph.engine.execution.state import Batch, Run

Outs = Sequence[dict[str, Any]]
Places = dict[GroupPlan, list[tuple[Any, Any, Any]]]  # group -> (container, key in it, row)


def complete_pending(run: Run, entry: Pending) -> list[Batch]:
    """Place the awaited values; return the children that have relations of their own."""
    if entry.field.spec.kind is not FieldKind.RELATION or isinstance(entry.loaded, Exception):
        return complete(run, entry.field, entry.values, entry.outs)
    below = _complete_relation(run, entry, entry.loaded)
    if below is not None:
        return below
    values = [_values_of_keys(keys, entry.loaded) for keys in entry.keys]
    return complete(run, entry.field, values, entry.outs)


def _values_of_keys(keys: Any, loaded: Mapping[str, Any]) -> Any:
    """Return the records of one parent's keys; several keys skip those that do not exist."""
    if keys is None or isinstance(keys, Exception):
        return keys
    if isinstance(keys, str):
        return loaded[keys]
    return [value for key in keys if (value := loaded[key]) is not None]


def _complete_relation(run: Run, entry: Pending, loaded: Mapping[str, Any]) -> list[Batch] | None:
    """Build each distinct record once, shared between parents; None: not a common form."""
    field, distinct = entry.field, entry.distinct
    classes = set(map(type, entry.keys))
    if field.list_depth > 1 or not classes <= _KEY_CLASSES[field.list_depth]:
        return None
    rows = {key: row for key in distinct if (row := loaded[key]) is not None}
    group = _only_group(field, rows.values())
    if group is None:
        return None
    is_whole = len(rows) == len(distinct)
    if field.is_non_null and field.list_depth == 0 and (not is_whole or type(None) in classes):
        return None
    below, outs = _build_children(run, group, list(rows.values()))
    made = dict(zip(rows, outs, strict=True))
    _share(field, entry, made, is_whole=is_whole)
    return below


# Classes of a parent's keys in the common forms, by the depth of lists.
_KEY_CLASSES = ({str, type(None)}, LISTS_OF_KEYS)


def _share(field: FieldPlan, entry: Pending, made: dict[str, Any], *, is_whole: bool) -> None:
    name = field.key
    if field.list_depth == 0:
        for out, key in zip(entry.outs, entry.keys, strict=True):
            out[name] = made.get(key)
    elif is_whole:
        for out, some in zip(entry.outs, entry.keys, strict=True):
            out[name] = [made[key] for key in some]
    else:
        for out, some in zip(entry.outs, entry.keys, strict=True):
            out[name] = [made[key] for key in some if key in made]


def complete_inline(field: FieldPlan, value: Any, run: Run) -> Any:
    """Return the finished value of a field below which nothing waits."""
    if field.list_depth == 0:
        if value is None and not field.is_non_null:
            return None
        group = field.by_class.get(value.__class__)
        if group is not None:
            return _build_inline(run, group, (value,))[0]
    elif value.__class__ is list and value:
        group = field.by_class.get(value[0].__class__)
        if group is not None and len({row.__class__ for row in value}) == 1:
            return _build_inline(run, group, value)
    elif value.__class__ is list:
        return []
    out: dict[str, Any] = {}
    complete(run, field, [value], [out])
    return out[field.key]


def _build_inline(run: Run, group: GroupPlan, rows: Sequence[Any]) -> list[dict[str, Any]]:
    outs = group.build(rows, run)
    run.batches.append(Batch(group, rows, outs))
    return outs


def complete_one(run: Run, field: FieldPlan, value: Any, out: dict[str, Any]) -> list[Batch]:
    """Place one parent's value (or Exception); return the children that have relations."""
    group = field.by_class.get(value.__class__) if field.list_depth == 0 else None
    if group is None:
        return complete(run, field, [value], [out])
    below, (out[field.key],) = _build_children(run, group, [value])
    return below


def complete(run: Run, field: FieldPlan, values: Sequence[Any], outs: Outs) -> list[Batch]:
    """Place one value (or Exception) per parent; return the children that have relations."""
    below = _complete_plain(run, field, values, outs) if field.leaf is None else None
    return below if below is not None else _complete_any(run, field, values, outs)


def _complete_plain(
    run: Run, field: FieldPlan, values: Sequence[Any], outs: Outs
) -> list[Batch] | None:
    if field.list_depth == 0:
        rows: Sequence[Any] = [value for value in values if value is not None]
        if field.is_non_null and len(rows) != len(values):
            return None
    elif field.list_depth == 1 and all(value.__class__ in (list, tuple) for value in values):
        rows = [row for value in values for row in value]
    else:
        return None
    group = _only_group(field, rows)
    if group is None:
        return None
    below, made = _build_children(run, group, rows)
    _distribute(field, values, outs, made)
    return below


def _distribute(field: FieldPlan, values: Sequence[Any], outs: Outs, made: list[Any]) -> None:
    """Assign the built children to their parents, in order."""
    name, at = field.key, 0
    if field.list_depth == 0:
        children = iter(made)
        for out, value in zip(outs, values, strict=True):
            out[name] = None if value is None else next(children)
        return
    for out, value in zip(outs, values, strict=True):
        out[name] = made[at : at + len(value)]
        at += len(value)


def _build_children(
    run: Run, group: GroupPlan, rows: Sequence[Any]
) -> tuple[list[Batch], list[Any]]:
    if group.is_lasting and run.derived is not None:
        outs = build_lasting(run, group, rows, run.derived)
    else:
        outs = group.build(rows, run)
    batch = Batch(group, rows, outs)
    run.batches.append(batch)
    return ([batch] if group.relations and rows else []), outs


def _only_group(field: FieldPlan, rows: Iterable[Any]) -> GroupPlan | None:
    """Return the group of all rows, if they are of one class and it is a legal one."""
    classes = set(map(type, rows))
    if len(classes) > 1:
        return None
    if not classes:
        return next(iter(field.children.values()), None)
    (only,) = classes
    if issubclass(only, Exception) or only is type(None):
        return None
    known = field.by_class.get(only, _UNKNOWN)
    if known is _UNKNOWN:
        example = next(iter(rows))
        known = field.by_class[only] = _group_of(field, example)
    return known  # type: ignore[no-any-return]


_UNKNOWN: Any = object()


def _group_of(field: FieldPlan, row: Any) -> GroupPlan | None:
    """Return the group whose type's `is_type_of`, a class check here, accepts the row."""
    for group in field.children.values():
        check = group.type.is_type_of
        if check is None or check(row, None):  # type: ignore[arg-type]
            return group
    return None


def _complete_any(run: Run, field: FieldPlan, values: Sequence[Any], outs: Outs) -> list[Batch]:
    places: Places = {}
    for out, value in zip(outs, values, strict=True):
        _place(run, field, field.type, value, out, field.key, places)
    below: list[Batch] = []
    for group, slots in places.items():
        more, made = _build_children(run, group, [row for _, _, row in slots])
        below += more
        for (container, key, _), child in zip(slots, made, strict=True):
            container[key] = child
    return below


def _place(
    run: Run, field: FieldPlan, type_: Any, value: Any, container: Any, key: Any, places: Places
) -> None:
    try:
        container[key] = _complete_value(run, field, type_, value, container, key, places)
    except Exception as error:
        container[key] = run.fail(error, field)


def _complete_value(
    run: Run, field: FieldPlan, type_: Any, value: Any, container: Any, key: Any, places: Places
) -> Any:
    if isinstance(value, Exception):
        raise value
    if field.leaf is not None:
        return coerce_leaf(field, type_, value, run.fail)
    if is_non_null_type(type_):
        if value is None:
            raise null_in_non_null(field)
        type_ = type_.of_type
    if value is None:
        return None
    if is_list_type(type_):
        if not is_iterable(value):
            raise GraphQLError(
                f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'."
            )
        items: list[Any] = list(value)
        for index, item in enumerate(items):
            _place(run, field, type_.of_type, item, items, index, places)
        return items
    group = _only_group(field, [value])
    if group is None:
        kind = TypeError if is_union_type(type_) else GraphQLError  # as Strawberry, as graphql-core
        raise kind(f"A value of {field.parent}.{field.name} is of no type it may be.")
    places.setdefault(group, []).append((container, key, value))
    return None
