"""Objects of records in process memory, where building takes long: built once for a selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from graph.engine.execution.plan import GroupPlan
from graph.engine.execution.state import Run
from services.cache.derived import DerivedObjects

Outs = list[dict[str, Any]]


def build_lasting(run: Run, group: GroupPlan, rows: Sequence[Any], derived: DerivedObjects) -> Outs:
    """Return a dict per row, as the group's `build` does; relations in it may be filled in."""
    find, number = derived.by_value.get, group.number
    outs: Outs = []
    for row in rows:
        objects = find(id(row))
        built = objects.get(number) if objects else None
        if built is None:
            return _build_and_keep(run, group, rows, derived)
        outs.append(built[0].copy())
    run.note_nested(group, outs)
    return outs


def _build_and_keep(
    run: Run, group: GroupPlan, rows: Sequence[Any], derived: DerivedObjects
) -> Outs:
    outs = group.build(rows, run)
    if run.failed:  # a failure has its place in this run alone
        return outs
    for row, out in zip(rows, outs, strict=True):
        if id(row) in derived.by_value:
            derived.add(row, group.number, out.copy(), len(orjson.dumps(out)))
    return outs
