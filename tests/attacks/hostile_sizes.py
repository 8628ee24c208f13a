"""Values far beyond their bounds for every argument and input field, generated from the schema.

Each place is reached by the shortest valid operation; only the value at the place is hostile.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from graph.base.bounds import ENUM_CHARACTERS, SCALAR_CHARACTERS, constraint_of
from tests.support.execution.input_generator import (
    Name,
    is_one_of,
    nothing_special,
    value_of,
    write_literal,
)

FACTORS = (10, 100, 1_000)
MANY_ITEMS = 20_000
MANY_CHARACTERS = 200_000
_MOST_CHARACTERS = 300_000  # more than a body; what is longer is refused by the same bound
_LARGEST = {"Int": 2**31, "Float": 2**1024, "Boolean": 1}
_LITERAL_CHARACTERS = 12_000  # what fits into a document
_TEXT_SCALARS = frozenset(SCALAR_CHARACTERS)

Wrap = Callable[[Any], Any]  # a value at the place -> the value of the argument it is in


@dataclass(frozen=True, slots=True)
class Place:
    """An argument or an input field: how an operation that has a value there is written."""

    name: str
    field: str  # the last part of the name
    type_: Any
    declared: Any
    argument_type: Any
    write_operation: Callable[[str, str], str]  # declared variables, the argument's value
    wrap: Wrap

    def by_variable(self, value: Any, **others: Any) -> dict[str, Any]:
        """Build the request with this value at the place, within one variable."""
        query = self.write_operation(f"($v: {self.argument_type})", "$v")
        return {"query": query, "variables": {"v": self.wrap(value), **others}}

    def by_literal(self, value: Any) -> dict[str, Any]:
        """Build the request with this value written into the document."""
        return {"query": self.write_operation("", write_literal(self.wrap(value)))}


def places(schema: GraphQLSchema) -> Iterator[Place]:
    """Yield every argument of every field, and each input type's fields where first met."""
    met: set[str] = set()
    for type_, write_path in _paths(schema):
        for field_name, field in type_.fields.items():
            for name in field.args:
                yield from _argument(f"{type_.name}.{field_name}", field, name, write_path, met)


def _paths(schema: GraphQLSchema) -> Iterator[tuple[Any, Callable[[str, str], str]]]:
    """Yield each type with how to write an operation around one of its fields, nearest first."""
    queue: deque[tuple[Any, Callable[[str, str], str]]] = deque()
    for kind in ("query", "mutation", "subscription"):
        root = getattr(schema, f"{kind}_type")
        queue.append((root, lambda declared, text, kind=kind: f"{kind} {declared} {{ {text} }}"))
    met = {type_.name for type_, _ in queue}
    while queue:
        type_, write = queue.popleft()
        if not hasattr(type_, "fields"):  # a union
            queue.extend(_onwards(schema, met, type_, write))
            continue
        yield type_, write
        queue.extend(_onwards(schema, met, type_, write))


def _onwards(
    schema: GraphQLSchema, met: set[str], type_: Any, write: Callable[[str, str], str]
) -> Iterator[tuple[Any, Callable[[str, str], str]]]:
    steps: list[tuple[Any, str]] = []
    for name, field in getattr(type_, "fields", {}).items():
        if is_composite_type(get_named_type(field.type)):
            steps.append((get_named_type(field.type), f"{name}{_required_arguments(field)}"))
    if is_abstract_type(type_):
        steps += [(one, f"... on {one.name}") for one in schema.get_possible_types(type_)]
    for reached, head in steps:
        if reached.name not in met and not reached.name.startswith("__"):
            met.add(reached.name)
            yield (
                reached,
                lambda declared, text, head=head: write(declared, f"{head} {{ {text} }}"),
            )


def _required_arguments(field: GraphQLField, but: str | None = None, value: str = "") -> str:
    """Write the required arguments of a field, and one in question with its value."""
    texts = [
        f"{name}: {write_literal(_valid(argument.type, name))}"
        for name, argument in field.args.items()
        if is_required_argument(argument) and name != but
    ]
    texts += [f"{but}: {value}"] if but else []
    return f"({', '.join(texts)})" if texts else ""


def _argument(
    coordinate: str,
    field: GraphQLField,
    name: str,
    write_path: Callable[[str, str], str],
    met: set[str],
) -> Iterator[Place]:
    argument = field.args[name]
    selection = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"

    def write(declared: str, value: str) -> str:
        head = coordinate.split(".")[1] + _required_arguments(field, name, value)
        return write_path(declared, head + selection)

    def place(at: str, last: str, declared: Any, wrap: Wrap) -> Place:
        return Place(at, last, declared.type, declared, argument.type, write, wrap)

    yield place(f"{coordinate}({name}:)", name, argument, lambda value: value)
    for at, last, declared, wrap in _input_fields(argument.type, lambda value: value, met):
        yield place(at, last, declared, wrap)


def _input_fields(type_: Any, wrap: Wrap, met: set[str]) -> Iterator[tuple[str, str, Any, Wrap]]:
    """Yield the fields of an input type and those within it: coordinate, name, field, wrap."""
    named = get_named_type(type_)
    if not is_input_object_type(named) or named.name in met:
        return
    met.add(named.name)
    is_list = is_list_type(get_nullable_type(type_))
    for name, field in named.fields.items():

        def inner(value: Any, name: str = name) -> Any:
            whole = {**_required_fields(named, name), name: value}
            return wrap([whole] if is_list else whole)

        yield f"{named.name}.{name}", name, field, inner
        yield from _input_fields(field.type, inner, met)


def _required_fields(type_: Any, but: str) -> dict[str, Any]:
    if is_one_of(type_):
        return {}
    return {
        name: _valid(field.type, name)
        for name, field in type_.fields.items()
        if name != but and is_required_input_field(field)
    }


def _valid(type_: Any, name: str) -> Any:
    return value_of(Random(name), type_, name, nothing_special)


def hostile_values(place: Place) -> Iterator[tuple[str, Any]]:
    """Yield what is far beyond the bounds of a place, each with its name."""
    type_, named = get_nullable_type(place.type_), get_named_type(place.type_)
    for factor in FACTORS:
        for value in _beyond(place, factor):
            yield f"{factor} x", value
    yield "a text of 200 KB", "x" * MANY_CHARACTERS
    item = _valid(named, place.field)
    short = item if len(repr(item)) < 12 else "x"
    yield "a list of 20,000", [short] * MANY_ITEMS
    yield "lists of lists", [[[short] * 100] * 100]
    if not is_list_type(type_):
        yield "an object of 20,000", {f"f{number}": 1 for number in range(MANY_ITEMS)}


def _beyond(place: Place, factor: int) -> Iterator[Any]:
    """Yield values of `factor` times each bound: of the list, of its items, of the number."""
    named = get_named_type(place.type_)
    constraint = constraint_of(place.declared)
    if is_list_type(get_nullable_type(place.type_)):
        assert constraint is not None
        item = _valid(named, place.field)
        most_items = _MOST_CHARACTERS // len(json.dumps([item]))
        yield [item] * min(constraint.max_items * factor, most_items)
    if named.name in _TEXT_SCALARS or is_enum_type(named):
        most = constraint.max_length if constraint is not None else None
        if not isinstance(most, int):
            most = SCALAR_CHARACTERS.get(named.name, ENUM_CHARACTERS)
        text = "x" * min(most * factor, _MOST_CHARACTERS)
        yield Name(text) if is_enum_type(named) else text
    elif named.name in _LARGEST:
        yield _LARGEST[named.name] * factor


def requests(place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the bodies of all hostile requests of a place, each with its name."""
    junk = {f"junk{number}": ["x"] * 100 for number in range(100)}
    for name, value in hostile_values(place):
        yield f"{place.name}, {name}", place.by_variable(value)
        if name == "10 x":
            yield f"{place.name}, {name} beside junk", place.by_variable(value, **junk)
            literal = place.by_literal(value)
            if len(literal["query"]) < _LITERAL_CHARACTERS:
                yield f"{place.name}, {name} in the document", literal
