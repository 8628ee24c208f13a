"""Directives clients and tools can read in the schema. Each states what the server really does."""

from __future__ import annotations

from enum import Enum

import strawberry
from graphql import GraphQLSchema
from strawberry import UNSET
from strawberry.schema_directive import Location

import models
from graph.base.enums import describe_enum

Role = describe_enum(
    models.Role,
    "What somebody may do; each role includes those before it.",
    {
        "ANONYMOUS": "Nobody signed in.",
        "USER": "A signed-in viewer.",
        "EDITOR": "May change the catalogue.",
        "OPERATOR": "May watch and steer the service.",
        "ADMIN": "May do everything.",
    },
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT],
    description="Only viewers of this role or a higher one get the field; others get an error.",
)
class Auth:
    requires: models.Role = strawberry.directive_field(name="requires", default=models.Role.USER)


class CacheControlScope(Enum):
    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"


describe_enum(
    CacheControlScope,
    "Who an answer is good for.",
    {"PUBLIC": "For everybody.", "PRIVATE": "Only for who asked; kept in no shared cache."},
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How long an answer with this field may be kept. An answer lives as long as its "
    "shortest-lived root field, and not at all if a field is private.",
)
class CacheControl:
    max_age: int | None = strawberry.directive_field(name="maxAge", default=UNSET)
    scope: CacheControlScope | None = strawberry.directive_field(name="scope", default=UNSET)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="What the field adds to an operation's cost, beyond 1 for each thing it answers "
    "with (IBM cost specification).",
)
class Cost:
    weight: str = strawberry.directive_field(name="weight")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How long a list is taken to be when the cost is estimated (IBM cost "
    "specification).",
)
class ListSize:
    assumed_size: int | None = strawberry.directive_field(name="assumedSize", default=UNSET)
    slicing_arguments: list[str] | None = strawberry.directive_field(
        name="slicingArguments", default=UNSET
    )
    sized_fields: list[str] | None = strawberry.directive_field(name="sizedFields", default=UNSET)
    require_one_slicing_argument: bool | None = strawberry.directive_field(
        name="requireOneSlicingArgument", default=True
    )


_ARGUMENTS = {
    "auth": {"requires": "The least role that gets the field."},
    "cacheControl": {
        "maxAge": "Seconds a shared cache may keep the answer.",
        "scope": "Who the answer is good for; everybody if nothing is said.",
    },
    "cost": {"weight": "What is added, a whole number."},
    "listSize": {
        "assumedSize": "How many things are counted where no argument says it.",
        "slicingArguments": "The arguments that say how many things are asked for.",
        "sizedFields": "The answer's fields that are this long, where that is no list itself.",
        "requireOneSlicingArgument": "Whether exactly one of these arguments has to be given.",
    },
}


def describe_arguments(schema: GraphQLSchema) -> None:
    """Gives the directives' arguments their descriptions, for which Strawberry has no place."""
    for directive in schema.directives:
        for name, text in _ARGUMENTS.get(directive.name, {}).items():
            directive.args[name].description = text
