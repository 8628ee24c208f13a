"""Leaves of a whole level in one generated function: a list of parents in, a list of dicts out.

The generated code checks each value's class inline; whatever is not plainly right goes through
graphql-core's own coercion, so results and errors are the same as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLString,
)

from graph.base.fields import FieldKind
from graph.engine.execution.completion import complete_inline
from graph.engine.execution.plan import Build, FieldPlan, GroupPlan

# How a value of each scalar is seen to be plainly right; the first {v} also names it v.
_CLASS_CHECKS = {
    GraphQLString.name: "{v}.__class__ is str",
    GraphQLID.name: "{v}.__class__ is str",
    GraphQLBoolean.name: "{v}.__class__ is bool",
    "Long": "{v}.__class__ is int and -9223372036854775808 <= v <= 9223372036854775807",
    GraphQLInt.name: "{v}.__class__ is int and -2147483648 <= v <= 2147483647",
    GraphQLFloat.name: "{v}.__class__ is float and v - v == 0.0",
}


def make_build(group: GroupPlan) -> Build:
    """Build the group's function, generated at its first use.

    Most types of an interface never occur in an answer.
    """

    def build(rows: Sequence[Any], run: Any) -> list[dict[str, Any]]:
        group.build = _generate_build(group)
        return group.build(rows, run)

    return build


def _generate_build(group: GroupPlan) -> Build:
    """Generate the function; where it raises, values are built one at a time."""
    names: dict[str, Any] = {}
    items = [
        f"{field.key!r}: {_expression(field, index, names)}"
        for index, field in enumerate(group.fields)
    ]
    prologue = [
        f" a{index} = run.arguments(f{index})"
        for index, field in enumerate(group.fields)
        if _is_built_with_parent(field)
        and field.spec.kind is FieldKind.COMPUTED
        and field.arguments
    ]
    source = "\n".join(
        [
            "def build(rows, run):",
            " leaf, info = run.leaf, run.info",
            *prologue,
            " return [{" + ", ".join(items) + "} for r in rows]",
        ]
    )
    exec(source, names)  # noqa: S102 - made of response keys (quoted) and positions only
    fast: Build = names["build"]

    def build(rows: Sequence[Any], run: Any) -> list[dict[str, Any]]:
        try:
            return fast(rows, run)
        except Exception:
            return [_build_row(group, row, run) for row in rows]

    return build


def _is_built_with_parent(field: FieldPlan) -> bool:
    return field.is_inline or (field.leaf is not None and not field.waits)


def _expression(field: FieldPlan, index: int, names: dict[str, Any]) -> str:
    if not _is_built_with_parent(field):
        return "None"
    if field.name == "__typename":
        return repr(field.parent)
    names[f"f{index}"] = field
    value = _value(field, index, names)
    if field.is_inline:
        names["complete_inline"] = complete_inline
        return f"complete_inline(f{index}, {value}, run)"
    assert field.leaf is not None
    if field.spec.requires is not None:
        return f"leaf(f{index}, run.check_role(f{index}) and {value})"
    if field.list_depth or isinstance(field.leaf, GraphQLEnumType):
        return f"leaf(f{index}, {value})"
    check = _CLASS_CHECKS.get(field.leaf.name)
    if check is None:
        return f"leaf(f{index}, {value})"
    named = f"(v := {value})"
    if field.is_non_null:
        check = check.format(v=named)
    else:
        check = f"{named} is None or " + check.format(v="v")
    return f"(v if {check} else leaf(f{index}, v))"


def _value(field: FieldPlan, index: int, names: dict[str, Any]) -> str:
    if field.spec.kind is FieldKind.PLAIN:
        return f"r.{field.attribute}"
    names[f"c{index}"] = field.function
    parts = ["r"] if field.takes_parent else []
    if field.takes_info:
        parts.append("info=info")
    if field.arguments:
        parts.append(f"**a{index}")
    return f"c{index}({', '.join(parts)})"


def _build_row(group: GroupPlan, row: Any, run: Any) -> dict[str, Any]:
    return {field.key: _value_or_failure(field, row, run) for field in group.fields}


def _value_or_failure(field: FieldPlan, row: Any, run: Any) -> Any:
    if not _is_built_with_parent(field):
        return None
    try:
        value = run.value(field, row)
        return complete_inline(field, value, run) if field.is_inline else run.leaf(field, value)
    except Exception as error:
        return run.fail(error, field)
