"""Operations made from the schema: every root field, with every viewer's field that hangs below it.

A field, argument or type that is added to the schema is in them by itself; tests of test_matrix.py
fail for one that cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from graph.base.fields import Field
from graph.schema import schema

SCHEMA = schema._schema
Values = Mapping[str, Any]

# Everything that has an id, by whose it is. A new kind of thing has to be put in one of the three.
OWNED = {"Viewer", "AuthSession", "ApiKey", "PlaybackSession", "ViewingProgress", "Viewing"}
PUBLIC = {"Movie", "TvShow", "Season", "Episode", "Genre", "Person", "Title", "Playable"}
STAFF = {"Provider", "CircuitBreaker", "Job"}
_UNIONS_AND_NODES = {"Node", "SearchResult"}

# Mutations by which an ADMIN changes accounts of others, audited; they tell nothing of them.
ADMINISTRATION = {"setAccountTier"}

# What arguments get that are no ids: by name, else by type.
_BY_NAME: dict[str, Any] = {
    "email": "ada-of-the-marker@example.org",
    "newEmail": "ada-of-the-marker@example.org",
    "password": "bobs velvet cactus lamp",
    "currentPassword": "bobs velvet cactus lamp",
    "newPassword": "bobs second velvet cactus",
    "displayName": "Bob",
    "key": "bobs-device",
    "deviceKey": "bobs-device",
    "token": "b" * 43,
    "refreshToken": "b" * 43,
    "query": "film",
    "first": 3,
    "before": "2020-01-01T00:00:00Z",
    "tags": ["movie:nothing"],
    "name": "Bob's",
    "metadata": {},
}
_BY_TYPE: dict[str, Any] = {
    "String": "bob",
    "Int": 1,
    "Float": 5.0,
    "Boolean": False,
    "DateTime": "2026-01-01T00:00:00Z",
    "Date": "2026-01-01",
    "URL": "https://example.org/a",
    "LanguageTag": "en",
    "JSONObject": {},
}


@dataclass(slots=True)
class Made:
    """One operation: its text and variables; what of the schema it asks for and hands in."""

    kind: str
    root: str
    text: str
    variables: dict[str, Any]
    asks: set[str] = field(default_factory=set)  # "Type.field"
    has_choice: bool = False  # of what a search finds
    hands_in: set[str] = field(default_factory=set)  # "Type.field(argument)", "Input.field"

    @property
    def name(self) -> str:
        return f"{self.kind} {self.root}"


def _spec(field_: GraphQLField) -> Any:
    definition = field_.extensions.get("strawberry-definition")
    return definition.spec if isinstance(definition, Field) else None


def is_personal(field_: GraphQLField) -> bool:
    """It depends on who asks."""
    spec = _spec(field_)
    return spec is not None and (spec.is_private or spec.requires is not None)


def root_fields(kind: str) -> list[str]:
    """Names of the fields of query, mutation or subscription."""
    return list(getattr(SCHEMA, f"{kind}_type").fields)


def types() -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    for name, type_ in SCHEMA.type_map.items():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and name[:2] != "__":
            yield type_


def nodes() -> set[str]:
    return {type_.name for type_ in SCHEMA.get_possible_types(SCHEMA.type_map["Node"])}  # type: ignore[arg-type]


def personal_fields() -> set[str]:
    """Every field that depends on who asks, and every field of what belongs to a viewer."""
    names = set()
    for type_ in types():
        for name, one in type_.fields.items():
            if isinstance(type_, GraphQLInterfaceType):
                continue  # asked of what implements it
            if type_.name in OWNED or is_personal(one):
                names.add(f"{type_.name}.{name}")
    return names


def list_id_arguments() -> set[str]:
    """Every argument and input field that takes an id."""
    names = set()
    for type_ in types():
        if isinstance(type_, GraphQLInterfaceType):
            continue
        for name, one in type_.fields.items():
            for key, argument in one.args.items():
                if get_named_type(argument.type).name == "ID":
                    names.add(f"{type_.name}.{name}({key})")
    for input_ in SCHEMA.type_map.values():
        if isinstance(input_, GraphQLInputObjectType):
            for key, field_ in input_.fields.items():
                if get_named_type(field_.type).name == "ID":
                    names.add(f"{input_.name}.{key}")
    return names


# ---- making them


class _Writer:
    """Writes one operation; `id_` stands wherever an id is asked for. `member` is chosen of each
    input that takes exactly one; `on` is what an interface or union is looked at as; `is_bare`:
    without what can be left out."""

    def __init__(
        self, made: Made, id_: str, member: str | None, on: str | None, *, is_bare: bool
    ) -> None:
        self._made = made
        self._is_bare = is_bare
        self._id = id_
        self._member = member
        self._on = on
        self._declared: list[str] = []

    def operation(self, root: GraphQLObjectType) -> Made:
        name = self._made.root
        body = self._field(root, name, root.fields[name], (root.name,), 0)
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        self._made.text = f"{self._made.kind} {declared} {{ {body} }}"
        return self._made

    def _field(
        self, type_: Any, name: str, one: GraphQLField, path: tuple[str, ...], public: int
    ) -> str:
        self._made.asks.add(f"{type_.name}.{name}")
        arguments = self._arguments(f"{type_.name}.{name}", one)
        below = get_named_type(one.type)
        if is_leaf_type(below):
            return f"{name}{arguments}"
        return f"{name}{arguments} {{ {self._selections(below, path, public)} }}"

    def _selections(self, type_: Any, path: tuple[str, ...], public: int) -> str:
        path = (*path, type_.name)
        if type_.name == "SearchResult":
            self._made.has_choice = True
        if type_.name in _UNIONS_AND_NODES:
            if self._on is None:
                return "__typename"
            return f"__typename ... on {self._on} {{ {self._fields(self._on, path, public)} }}"
        return f"__typename {self._fields(type_.name, path, public)}"

    def _fields(self, type_name: str, path: tuple[str, ...], public: int) -> str:
        type_: Any = SCHEMA.type_map[type_name]
        public += type_name in PUBLIC
        selected = []
        for name, one in type_.fields.items():
            below = get_named_type(one.type)
            if not self._is_selected(one, below, path, public):
                continue
            selected.append(self._field(type_, name, one, path, public))
        return " ".join(selected)

    def _is_selected(
        self, one: GraphQLField, below: Any, path: tuple[str, ...], public: int
    ) -> bool:
        """What belongs to somebody, wherever it is; of public things only the nearest."""
        if is_leaf_type(below):
            return public < 3 or below.name == "ID" or is_personal(one)
        if below.name in path and below.name not in _UNIONS_AND_NODES:
            return False
        if is_personal(one):
            return public < 3
        if public and below.name not in OWNED:
            return False
        return len(path) < 8

    # ---- arguments

    def _arguments(self, place: str, one: GraphQLField) -> str:
        written = []
        for name, argument in one.args.items():
            if not self._is_supplied(name, argument):
                continue
            value = self._value(f"{place}({name})", name, argument.type)
            variable = f"v{len(self._declared)}"
            self._declared.append(f"${variable}: {argument.type}")
            self._made.variables[variable] = value
            written.append(f"{name}: ${variable}")
        return f"({', '.join(written)})" if written else ""

    def _is_supplied(self, name: str, argument: GraphQLArgument | GraphQLInputField) -> bool:
        named = get_named_type(argument.type)
        if isinstance(argument, GraphQLArgument):
            is_required = is_required_argument(argument)
        else:
            is_required = is_required_input_field(argument)
        if is_required or name in ("first", "input"):
            return True
        return not self._is_bare and (
            named.name == "ID"
            or (isinstance(named, GraphQLInputObjectType) and "ID" in _leaves(named))
        )

    def _value(self, place: str, name: str, type_: Any) -> Any:
        if is_list_type(get_nullable_type(type_)):
            if name in _BY_NAME:
                return _BY_NAME[name]
            return [self._value(place, name, get_nullable_type(type_).of_type)]
        named: Any = get_named_type(type_)
        if named.name == "ID":
            self._made.hands_in.add(place)
            return self._id
        if isinstance(named, GraphQLInputObjectType):
            return self._input(named)
        if isinstance(named, GraphQLEnumType):
            return next(iter(named.values))
        return _BY_NAME.get(name, _BY_TYPE.get(named.name, "bob"))

    def _input(self, type_: GraphQLInputObjectType) -> dict[str, Any]:
        if type_.is_one_of:
            chosen = self._member or ""
            if chosen not in type_.fields:
                chosen = next(iter(type_.fields))
            return {
                chosen: self._value(f"{type_.name}.{chosen}", chosen, type_.fields[chosen].type)
            }
        return {
            name: self._value(f"{type_.name}.{name}", name, one.type)
            for name, one in type_.fields.items()
            if self._is_supplied(name, one)
        }


def _leaves(type_: GraphQLInputObjectType) -> set[str]:
    return {get_named_type(one.type).name for one in type_.fields.values()}


def made(
    kind: str,
    name: str,
    id_: str,
    member: str | None = None,
    on: str | None = None,
    *,
    is_bare: bool = False,
) -> Made:
    root = getattr(SCHEMA, f"{kind}_type")
    return _Writer(Made(kind, name, "", {}), id_, member, on, is_bare=is_bare).operation(root)


def variants(kind: str, name: str, ids: Sequence[str], of_id: Mapping[str, str]) -> Iterator[Made]:
    """This root field with each id, each member of inputs that take one, as each kind of thing.

    `of_id` is the type of what has the id.
    """
    root: GraphQLObjectType = getattr(SCHEMA, f"{kind}_type")
    one = root.fields[name]
    below = get_named_type(one.type).name
    operation = made(kind, name, "")
    members = _members(one)
    ons: Sequence[str | None] = (None,)
    if operation.has_choice:
        ons = ("Movie", "TvShow", "Person")
    for id_ in ids if operation.hands_in or len(members) > 1 else ids[:1]:
        if below == "Node":
            ons = (of_id[id_],)
        for member in members:
            for on in ons:
                yield made(kind, name, id_, member, on)
    yield made(kind, name, next(iter(ids)), members[0], ons[0], is_bare=True)


def _members(one: GraphQLField) -> Sequence[str | None]:
    members: list[str | None] = []
    for argument in one.args.values():
        named = get_named_type(argument.type)
        if isinstance(named, GraphQLInputObjectType) and named.is_one_of:
            members += list(named.fields)
    return members or (None,)


def required_role(kind: str, name: str) -> str | None:
    spec = _spec(getattr(SCHEMA, f"{kind}_type").fields[name])
    return spec.requires.value if spec is not None and spec.requires is not None else None
