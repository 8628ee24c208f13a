"""Everything that comes in by the schema has a bound where it is declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_list_type,
)

from graph.base.bounds import NUMBERS, SCALAR_CHARACTERS, constraint_of
from graph.schema import schema

INPUTS = 100  # there are more than that


def _inputs() -> Iterator[tuple[str, Any]]:
    """Every argument and input field by its place."""
    for kind in schema._schema.type_map.values():
        if is_introspection_type(kind):
            continue
        match kind:
            case GraphQLObjectType() | GraphQLInterfaceType():
                for name, field in kind.fields.items():
                    for argument, declared in field.args.items():
                        yield f"{kind.name}.{name}({argument}:)", declared
            case GraphQLInputObjectType():
                for name, declared in kind.fields.items():
                    yield f"{kind.name}.{name}", declared


def test_every_list_that_comes_in_has_a_bound() -> None:
    lists = [(place, one) for place, one in _inputs() if is_list_type(get_nullable_type(one.type))]
    assert len(lists) >= 10
    # then each says how many items it takes, and no list is in a list
    for place, declared in lists:
        constraint = constraint_of(declared)
        assert constraint is not None, place
        assert isinstance(constraint.max_items, int), place
        assert 1 <= constraint.max_items <= 500, place
        assert not is_list_type(get_nullable_type(get_nullable_type(declared.type).of_type)), place


def test_every_text_number_and_id_that_comes_in_has_a_bound() -> None:
    inputs = list(_inputs())
    assert len(inputs) > INPUTS
    for place, declared in inputs:
        type_ = get_named_type(declared.type)
        # then its type is bounded: by its values, by its range, by its own fields, by its length
        bounded = isinstance(type_, GraphQLEnumType | GraphQLInputObjectType)
        assert bounded or type_.name in NUMBERS | set(SCALAR_CHARACTERS), place
        constraint = constraint_of(declared)
        characters = constraint.max_length if constraint is not None else None
        assert not isinstance(characters, int) or 1 <= characters <= 15_000, place


def test_no_scalar_takes_more_than_a_few_kilobytes() -> None:
    assert max(SCALAR_CHARACTERS.values()) <= 2_048


@pytest.mark.parametrize(
    ("place", "declared"),
    [(place, one) for place, one in _inputs() if place.endswith(("(first:)", "(last:)", ".first"))],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_every_size_of_a_list_says_its_range(place: str, declared: Any) -> None:
    constraint = constraint_of(declared)
    assert constraint is not None
    assert constraint.least == 1
    assert isinstance(constraint.most, int)
    # as its description does
    assert f"1 to {constraint.most}." in (declared.description or "")
