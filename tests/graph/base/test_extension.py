"""Later subjects add fields to earlier types: once, in order, for every implementer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import strawberry
from strawberry.types.base import get_object_definition

from graph.base import extension
from graph.base.extension import apply_extensions, extend, pending_extensions
from graph.base.fields import computed, plain, resolver
from graph.engine.documents import Documents
from graph.engine.operations import Answer, Operations, Request
from graph.schema import CONFIG
from resolvers.context import Context
from tests.house.house import ROOT


@dataclass
class ItemRecord:
    name: str = "Nosferatu"


@strawberry.interface(description="A thing with a name.")
class Named:
    name: str = plain("Its name.")


@strawberry.type(description="An item.")
class Item(Named):
    name: str = plain("Its name.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, ItemRecord)


@strawberry.type(description="Entry points.")
class Query:
    item: Named = resolver(lambda: ItemRecord(), "One item.")


def _length(item: strawberry.Parent[Any]) -> int:
    return len(item.name)


@extend(Named)
class NamedLength:
    length: int = computed(_length, "Number of characters of the name.")


@extend(Query)
class MoreQuery:
    other: Item = resolver(lambda: ItemRecord("Metropolis"), "Another item.")


apply_extensions([__name__])
# Declared after the extension is applied, and still an heir of the interface.


@strawberry.type(description="Declared later.")
class LateItem(Named):
    kind: str = plain("Its kind.")


SCHEMA = strawberry.Schema(query=Query, types=[Item, LateItem], config=CONFIG)


@pytest.fixture
def undeclared() -> Iterator[None]:
    """Forget what a test declared and could not apply."""
    before = list(extension._declared)
    yield
    extension._declared[:] = before


def names(type_: type) -> list[str]:
    return [field.python_name for field in get_object_definition(type_, strict=True).fields]


@pytest.mark.parametrize("by_plan", [True, False], ids=["plan", "core"])
async def test_an_extended_interface_answers_with_every_implementer(
    by_plan: bool, context: Context
) -> None:
    # given a field of the interface and one of the root type, both added by extensions
    documents = Documents(SCHEMA, CONFIG, introspection=True)
    operations = Operations(documents, by_plan=by_plan, deadline_seconds=5)
    query = "{ item { name length ... on Item { more: length } } other { length } }"
    # when they are selected through the interface and through the type
    prepared = operations.prepare(Request(query, {}), context)
    assert not isinstance(prepared, Answer)
    answer = await operations.run(prepared, context)
    # then they are there
    assert answer.body() == {
        "data": {
            "item": {"name": "Nosferatu", "length": 9, "more": 9},
            "other": {"length": 10},
        }
    }


def test_added_fields_follow_those_of_the_type_in_the_sdl() -> None:
    # given a type before and one after the extension, when both are printed
    assert names(Named) == ["name", "length"]
    assert names(Item) == ["name", "length"]
    # then the later one has the interface's fields before its own
    assert names(LateItem) == ["name", "length", "kind"]
    assert "interface Named {" in SCHEMA.as_str()


def test_extensions_are_applied_in_the_order_named_and_once() -> None:
    # given two extensions of one type, declared in the order opposite to that of their subjects
    @strawberry.type
    class Target:
        own: str = plain("Its own.")

    class Later:
        later: str = plain("From a later subject.")

    class Earlier:
        earlier: str = plain("From an earlier subject.")

    extend(Target)(Later)
    extend(Target)(Earlier)
    Later.__module__, Earlier.__module__ = "sample.later.types", "sample.earlier"
    # when they are applied, twice
    for _ in range(2):
        apply_extensions(["sample.earlier", "sample.later"])
    # then the subjects' order counts
    assert names(Target) == ["own", "earlier", "later"]


def test_a_field_that_exists_is_refused_and_nothing_is_added(undeclared: None) -> None:
    # given an implementer with a field that an extension of its interface has too
    @strawberry.interface
    class Base:
        own: str = plain("Its own.")

    @strawberry.type
    class Heir(Base):
        taken: str = plain("The implementer's.")

    class Extension:
        fresh: str = plain("New.")
        taken: str = plain("The extension's.")

    extend(Base)(Extension)
    Extension.__module__ = "sample.duplicates"
    # when it is applied, then it is refused
    with pytest.raises(ValueError, match="Heir has a field taken already"):
        apply_extensions(["sample.duplicates"])
    # and the types are as they were
    assert (names(Base), names(Heir)) == (["own"], ["own", "taken"])


@strawberry.input(description="Not to be extended.")
class SomeInput:
    text: str = strawberry.field(description="A text.")


@pytest.mark.parametrize("target", [SomeInput, ItemRecord], ids=["input", "no type"])
def test_only_types_and_interfaces_of_the_schema_are_extended(target: type) -> None:
    with pytest.raises(TypeError, match="is no type or interface"):
        extend(target)


def test_no_extension_of_the_product_waits() -> None:
    # given the assembled schema, then every extension declared in graph is in it
    assert [one for one in pending_extensions() if one.__module__.startswith("graph.")] == []


def test_the_schema_does_not_depend_on_what_is_imported_first() -> None:
    # given a process that imports the last subject and the last module of another first
    program = (
        "import graph.ops.rate_limits, graph.playback.watchlist, graph.catalog.shows\n"
        "from graph.schema import sdl\nprint(sdl(), end='')"
    )
    # when it prints the schema
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # then it is the same
    assert printed.stdout == (ROOT / "schema.graphql").read_text(encoding="utf-8")
