"""Random valid operations over any schema: every one passes validation by construction.

A response key always stands for one field with one text of arguments and one type in the whole
document, so fields of one key can always be merged; fragments only spread finished ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    print_type,
)
from hypothesis import strategies as st

from tests.support.execution.input_generator import (
    Custom,
    Literal,
    is_one_of,
    nothing_special,
    value_of,
    write_literal,
)

_ALIASES = ("a", "b", "c", "text", "id")
_MOST_FRAGMENTS = 4


@dataclass(frozen=True, slots=True)
class Made:
    """An operation: its document, the values of its variables, and its name if it needs one."""

    text: str
    variables: dict[str, Any]
    name: str | None = None


@dataclass(slots=True)
class Generator:
    """`without` are fields ("Type.field") never to be asked for; `custom` knows special values."""

    schema: GraphQLSchema
    custom: Custom = nothing_special
    without: Collection[str] = ()
    depth: int = 6
    fields: int = 30

    def __post_init__(self) -> None:
        print_type(self.schema.query_type)  # builds what the schema builds late

    def make(self, dice: Random, kind: str = "query") -> Made:
        """One operation of this kind; the same dice make the same one."""
        return _Maker(self, dice).make(kind)


def operations(generator: Generator, kind: str = "query") -> st.SearchStrategy[Made]:
    """For hypothesis, which shrinks what it finds by shrinking the dice."""
    return st.randoms(use_true_random=False).map(lambda dice: generator.make(dice, kind))


@dataclass(slots=True)
class _Maker:
    generator: Generator
    dice: Random
    remaining: int = 0
    keys: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    used_arguments: dict[str, str] = field(
        default_factory=dict
    )  # "Type.field" -> arguments used before
    variables: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    fragments: list[tuple[str, Any, str]] = field(default_factory=list)
    spreads: int = 0

    @property
    def schema(self) -> GraphQLSchema:
        return self.generator.schema

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def make(self, kind: str) -> Made:
        self.remaining = self.dice.randrange(2, self.generator.fields)
        root = getattr(self.schema, f"{kind}_type")
        if kind == "subscription":
            name = self.dice.choice(list(root.fields))
            body = f"{{ {self._field(root, name, self.generator.depth, directives=False)} }}"
        else:
            body = self._set(root, self.generator.depth)
        declared = ", ".join(
            f"${name}: {type_}" + (f" = {default}" if default is not None else "")
            for name, (type_, default) in self.variables.items()
        )
        head = f"{kind} Asked" + (f"({declared})" if declared else "")
        parts = [f"{head} {body}", *(text for _, _, text in self.fragments)]
        is_single = not self.chance(0.1)
        if not is_single:
            parts.append("query Other { __typename }")
        self.dice.shuffle(parts)
        return Made("\n".join(parts), self.values, None if is_single else "Asked")

    def _set(self, type_: Any, depth: int) -> str:
        parts = [self._selection(type_, depth)]
        while self.remaining > 0 and self.chance(0.7):
            parts.append(self._selection(type_, depth))
        return f"{{ {' '.join(parts)} }}"

    def _selection(self, type_: Any, depth: int) -> str:
        roll = self.dice.random()
        fields = getattr(type_, "fields", {})
        if self.remaining > 0 and depth > 1 and (roll < 0.2 or not fields):
            return self._fragment(type_, depth)
        self.remaining -= 1
        names = [name for name in fields if self._is_included(type_, name, depth)]
        if roll > 0.93 or not names:
            return self._typename()
        return self._field(type_, self.dice.choice(names), depth)

    def _is_included(self, type_: Any, name: str, depth: int) -> bool:
        if f"{type_.name}.{name}" in self.generator.without:
            return False
        if is_leaf_type(get_named_type(type_.fields[name].type)):
            return True
        return depth > 1 and self.remaining > 0

    def _typename(self) -> str:
        return f"{self._key('__typename', '', 'String!')}__typename{self._directives()}"

    def _field(self, type_: Any, name: str, depth: int, *, directives: bool = True) -> str:
        definition = type_.fields[name]
        coordinate = f"{type_.name}.{name}"
        if coordinate not in self.used_arguments or self.chance(0.5):
            self.used_arguments[coordinate] = self._arguments(definition)
        arguments = self.used_arguments[coordinate]
        head = self._key(name, arguments, str(definition.type)) + name + arguments
        head += self._directives() if directives else ""
        named = get_named_type(definition.type)
        return head if is_leaf_type(named) else f"{head} {self._set(named, depth - 1)}"

    def _key(self, name: str, arguments: str, type_: str) -> str:
        """`alias: ` or nothing, so that one key never means two things."""
        means = (name, arguments, type_)
        candidates = [name, *_ALIASES] if self.chance(0.8) else list(_ALIASES)
        for key in (*candidates, *(f"{name.strip('_')}{at}" for at in range(99))):
            if self.keys.setdefault(key, means) == means:
                return "" if key == name else f"{key}: "
        raise AssertionError("more keys than fields")

    # arguments and variables

    def _arguments(self, definition: GraphQLField) -> str:
        parts = []
        for name, argument in definition.args.items():
            if is_required_argument(argument) or self.chance(0.45):
                has_default = argument.default_value is not None and not is_required_argument(
                    argument
                )
                parts.append(f"{name}: {self._argument_value(argument.type, name, has_default)}")
        self.dice.shuffle(parts)
        return f"({', '.join(parts)})" if parts else ""

    def _argument_value(self, type_: Any, name: str, has_default: bool) -> str:
        if self.chance(0.35):
            return self._variable(type_, name, has_default and is_non_null_type(type_))
        value = value_of(self.dice, type_, name, self.generator.custom)
        return write_literal(self._with_variables(value, type_, name))

    def _with_variables(self, value: Any, type_: Any, name: str) -> Any:
        """Here and there a variable within the literal."""
        inner = type_.of_type if is_non_null_type(type_) else type_
        if is_list_type(inner) and isinstance(value, list):
            return [self._inside(item, inner.of_type, name) for item in value]
        if is_input_object_type(inner) and isinstance(value, dict) and not is_one_of(inner):
            fields = inner.fields
            return {key: self._inside(one, fields[key].type, key) for key, one in value.items()}
        return value

    def _inside(self, value: Any, type_: Any, name: str) -> Any:
        if self.chance(0.2):
            return Literal(self._variable(type_, name, False))
        return self._with_variables(value, type_, name)

    def _variable(self, type_: Any, name: str, may_be_null: bool) -> str:
        """A variable allowed where `type_` is: of that type or a stricter one, or, at a place with
        a default, of a nullable one."""
        type_text, default = str(type_), None
        if not is_non_null_type(type_):
            type_text += "!" if self.chance(0.3) else ""
        elif may_be_null and self.chance(0.4):
            type_text = type_text.removesuffix("!")
        elif self.chance(0.2):
            type_text = type_text.removesuffix("!")  # allowed by the default it is given here
            default = write_literal(value_of(self.dice, type_, name, self.generator.custom))
        for known, declared in self.variables.items():
            if declared == (type_text, default) and self.chance(0.4):
                return f"${known}"
        if default is None and self.chance(0.3):
            default = write_literal(self._value(type_, type_text, name))
        return self._declare(type_, type_text, default, name)

    def _value(self, type_: Any, declared: str, name: str) -> Any:
        value = value_of(self.dice, type_, name, self.generator.custom)
        while value is None and declared.endswith("!"):
            value = value_of(self.dice, type_, name, self.generator.custom)
        return value

    def _declare(self, type_: Any, declared: str, default: str | None, name: str) -> str:
        variable = f"v{len(self.variables)}"
        self.variables[variable] = (declared, default)
        optional = default is not None or not declared.endswith("!")
        roll = self.dice.random()
        if roll < 0.15 and optional:
            pass  # missing
        elif roll < 0.25 and not declared.endswith("!"):
            self.values[variable] = None
        elif roll > 0.995:
            self.values[variable] = {"of": "no type"}  # refused before anything runs
        else:
            self.values[variable] = self._value(type_, declared, name)
        return f"${variable}"

    # directives and fragments

    def _directives(self) -> str:
        if not self.chance(0.12):
            return ""
        names = self.dice.choice((("skip",), ("include",), ("skip", "include")))
        return "".join(f" @{name}(if: {self._condition()})" for name in names)

    def _condition(self) -> str:
        if self.chance(0.4):
            return self.dice.choice(("true", "false"))
        for name, (type_, _) in self.variables.items():
            if type_ == "Boolean!" and self.chance(0.5):
                return f"${name}"
        variable = f"v{len(self.variables)}"
        optional = self.chance(0.2)
        self.variables[variable] = ("Boolean", "true") if optional else ("Boolean!", None)
        if not optional or self.chance(0.7):
            choices = (True, False, None) if optional else (True, False)
            self.values[variable] = self.dice.choice(choices)
        return f"${variable}"

    def _fragment(self, type_: Any, depth: int) -> str:
        """Spread or inline, on the type itself, an overlapping one, or without a condition."""
        if self.chance(0.5):
            on = self.dice.choice((None, *self._overlapping(type_)))
            condition = f" on {on.name}" if on else ""
            return f"...{condition}{self._directives()} {self._set(on or type_, depth - 1)}"
        reusable = [name for name, on, _ in self.fragments if self._overlap(on, type_)]
        if reusable and self.spreads < 6 and self.chance(0.6):
            self.spreads += 1
            return f"...{self.dice.choice(reusable)}{self._directives()}"
        if len(self.fragments) >= _MOST_FRAGMENTS:
            return f"... {self._set(type_, depth - 1)}"
        on = self.dice.choice(list(self._overlapping(type_)))
        body = self._set(on, depth - 1)
        name = f"F{len(self.fragments)}"
        self.fragments.append((name, on, f"fragment {name} on {on.name} {body}"))
        return f"...{name}{self._directives()}"

    def _overlapping(self, type_: Any) -> Iterator[Any]:
        yield type_
        for other in self.schema.type_map.values():
            is_known = other is type_ or other.name.startswith("__")
            if not is_known and is_composite_type(other) and self._overlap(type_, other):
                yield other

    def _overlap(self, one: Any, other: Any) -> bool:
        return bool(self._possible(one) & self._possible(other))

    def _possible(self, type_: Any) -> set[str]:
        if not is_abstract_type(type_):
            return {type_.name}
        return {possible.name for possible in self.schema.get_possible_types(type_)}
