"""The public schema: in step with its file, and described to the last argument."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)

from graph.schema import SUBJECTS, sdl
from tests.house.house import ROOT


def test_schema_graphql_is_in_step() -> None:
    # given the file that clients read, then it is what the code says (else: make schema)
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == sdl()


def test_everything_in_the_schema_is_described() -> None:
    # given the schema as clients get it, when each part is looked at
    undescribed = [where for where, text in _parts(build_schema(sdl())) if not (text or "").strip()]
    # then each part has words for people
    assert undescribed == []


def _parts(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Every type, field, argument, input field, enum value and directive of ours."""
    for kind in schema.type_map.values():
        if is_introspection_type(kind) or is_specified_scalar_type(kind):
            continue
        yield kind.name, kind.description
        match kind:
            case GraphQLObjectType() | GraphQLInterfaceType():
                for name, field in kind.fields.items():
                    yield f"{kind.name}.{name}", field.description
                    for argument, about in field.args.items():
                        yield f"{kind.name}.{name}({argument}:)", about.description
            case GraphQLInputObjectType():
                for name, part in kind.fields.items():
                    yield f"{kind.name}.{name}", part.description
            case GraphQLEnumType():
                for name, value in kind.values.items():
                    yield f"{kind.name}.{name}", value.description
    for directive in schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive.description
            for argument, about in directive.args.items():
                yield f"@{directive.name}({argument}:)", about.description


def test_every_module_of_a_subject_is_part_of_the_schema() -> None:
    # given the folders of the subjects
    folders = [subject for subject in SUBJECTS if hasattr(subject, "__path__")]
    assert len(folders) == 5
    # when their modules are listed
    modules = {
        f"{folder.__name__}.{module.name}"
        for folder in folders
        for module in pkgutil.iter_modules(folder.__path__)
    }
    # then each was imported by its folder
    assert modules - set(sys.modules) == set()
