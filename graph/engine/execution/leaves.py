"""Leaves of a whole level in one generated function: a list of parents in, a list of dicts out.

The generated code checks each value's class inline; whatever is not plainly right goes through
graphql-core's own coercion, so results and errors are the same as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

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
    **dict.fromkeys(
        (GraphQLString.name, GraphQLID.name, "URL", "Date", "LanguageTag", "EmailAddress"),
        "{v}.__class__ is str",
    ),
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
    source = _Source()
    built = source.build_object(group, "r")
    lines = [
        "def build(rows, run):",
        " leaf, info = run.leaf, run.info",
        *source.prologue,
        f" return [{built} for r in rows]",
    ]
    exec("\n".join(lines), source.names)  # noqa: S102 - response keys (quoted) and numbers only
    fast: Build = source.names["build"]

    def build(rows: Sequence[Any], run: Any) -> list[dict[str, Any]]:
        try:
            outs = fast(rows, run)
        except Exception:
            return [_build_row(group, row, run) for row in rows]
        run.note_nested(group, outs)
        return outs

    return build


class _UnusualValue(Exception):
    """A nested object is of no class that was seen here before."""


def _raise_unusual() -> NoReturn:
    raise _UnusualValue


class _Source:
    """The text of a group's function: `names` are its globals, `prologue` its first lines."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"unusual": _raise_unusual}
        self.prologue: list[str] = []
        self._fields = 0

    def build_object(self, group: GroupPlan, row: str) -> str:
        """Write the dict of one parent, which is the variable `row`."""
        items = [f"{field.key!r}: {self._expression(field, row)}" for field in group.fields]
        return "{" + ", ".join(items) + "}"

    def _expression(self, field: FieldPlan, row: str) -> str:
        if not _is_built_with_parent(field):
            return "None"
        if field.name == "__typename":
            return repr(field.parent)
        index = self._fields = self._fields + 1
        self.names[f"f{index}"] = field
        value = self._value(field, index, row)
        if field.is_nested:
            return self._nested(field, index, value)
        if field.is_inline:
            self.names["complete_inline"] = complete_inline
            return f"complete_inline(f{index}, {value}, run)"
        return _leaf_expression(field, index, value)

    def _nested(self, field: FieldPlan, index: int, value: str) -> str:
        """Write an object of a parent, of the one class that its group is known to have."""
        (group,) = field.children.values()
        self.names[f"g{index}"], self.names[f"k{index}"] = group, field.by_class
        row = f"r{index}"
        built = self.build_object(group, row)
        null = "unusual()" if field.is_non_null else "None"
        known = f"{built} if k{index}.get({row}.__class__) is g{index} else unusual()"
        return f"({null} if ({row} := {value}) is None else {known})"

    def _value(self, field: FieldPlan, index: int, row: str) -> str:
        if field.spec.kind is FieldKind.PLAIN:
            return f"{row}.{field.attribute}"
        self.names[f"c{index}"] = field.function
        parts = [row] if field.takes_parent else []
        if field.takes_info:
            parts.append("info=info")
        if field.arguments:
            self.prologue.append(f" a{index} = run.arguments(f{index})")
            parts.append(f"**a{index}")
        return f"c{index}({', '.join(parts)})"


def _is_built_with_parent(field: FieldPlan) -> bool:
    return field.is_inline or (field.leaf is not None and not field.waits)


def _leaf_expression(field: FieldPlan, index: int, value: str) -> str:
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
