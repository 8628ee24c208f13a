"""Literals with variables are filled in as graphql-core coerces them, or left to it."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInputObjectType, build_schema, parse_value
from graphql.execution.values import VariableValues
from graphql.utilities.coerce_input_value import coerce_input_literal

from graph.engine.execution.literals import literal_reader
from graph.engine.execution.variables import UndecidedValue

SCHEMA = build_schema("""
  type Query { field(by: By, range: Range): Int }
  input By @oneOf { id: ID number: Int range: Range }
  input Range { from: Int! to: Int = 9 unit: Unit = DAYS note: String steps: [Int!] inner: Range }
  enum Unit { DAYS HOURS }
""")


def read(type_name: str, text: str, **coerced: Any) -> Any:
    """What our reader makes of a literal; it is the same that graphql-core makes of it."""
    type_ = SCHEMA.get_type(type_name)
    assert isinstance(type_, GraphQLInputObjectType)
    node = parse_value(text)
    value = literal_reader(node, type_)(coerced)
    assert value == coerce_input_literal(node, type_, VariableValues({}, coerced))
    return value


def test_variables_with_values_are_filled_in() -> None:
    assert read("By", "{id: $a}", a="x") == {"id": "x"}
    whole = {"from": 1, "to": 2, "unit": "DAYS", "inner": {"from": 3, "to": 9, "unit": "DAYS"}}
    assert read("Range", "{from: $a, to: 2, inner: {from: $b}}", a=1, b=3) == whole
    value = read("By", "{range: {from: $a, steps: [1, 2], unit: HOURS, note: null}}", a=1)
    assert value["range"] == {"from": 1, "to": 9, "unit": "HOURS", "note": None, "steps": [1, 2]}
    assert read("By", "{range: $r}", r={"from": 7}) == {"range": {"from": 7}}


@pytest.mark.parametrize(
    ("type_name", "text", "coerced"),
    [
        ("By", "{id: $a}", {}),  # missing: nothing of a @oneOf is left
        ("By", "{id: $a}", {"a": None}),
        ("By", "{id: $a, number: $b}", {"a": "x", "b": 1}),
        ("By", "{id: $a, other: 1}", {"a": "x"}),
        ("Range", "{to: $a}", {"a": 1}),  # without what must be there
        ("Range", "{from: 1, to: $a}", {}),  # where a default may apply
        ("Range", "{from: 1, note: $a}", {"a": None}),  # where null is a value
        ("Range", "{from: 1, steps: [$a]}", {"a": 1}),
        ("Range", '{from: "x", to: $a}', {"a": 1}),
    ],
)
def test_what_depends_on_more_is_left_to_core(
    type_name: str, text: str, coerced: dict[str, Any]
) -> None:
    with pytest.raises(UndecidedValue):
        read(type_name, text, **coerced)
