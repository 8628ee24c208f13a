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
    "Role of a user; each role includes the rights of those before it.",
    {
        "ANONYMOUS": "Not signed in.",
        "USER": "A signed-in viewer.",
        "EDITOR": "May change the catalogue.",
        "OPERATOR": "May monitor and control the service.",
        "ADMIN": "May do everything.",
    },
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT],
    description="Requires this role or a higher one; other viewers get FORBIDDEN or "
    "UNAUTHENTICATED.",
)
class Auth:
    requires: models.Role = strawberry.directive_field(name="requires", default=models.Role.USER)


class CacheControlScope(Enum):
    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"


describe_enum(
    CacheControlScope,
    "Who may share a cached response.",
    {
        "PUBLIC": "Any cache may store the response for everybody.",
        "PRIVATE": "The response depends on the viewer; no shared cache may store it.",
    },
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How long a response with this field may be cached. The shortest time of its "
    "fields holds for a response; fields without one are cached as their parents. A response is "
    "not cached at all if a root field has no `maxAge` or any field is PRIVATE.",
)
class CacheControl:
    max_age: int | None = strawberry.directive_field(name="maxAge", default=UNSET)
    s_max_age: int | None = strawberry.directive_field(name="sMaxAge", default=UNSET)
    stale_while_revalidate: int | None = strawberry.directive_field(
        name="staleWhileRevalidate", default=UNSET
    )
    stale_if_error: int | None = strawberry.directive_field(name="staleIfError", default=UNSET)
    scope: CacheControlScope | None = strawberry.directive_field(name="scope", default=UNSET)


@strawberry.schema_directive(
    locations=[Location.OBJECT],
    repeatable=True,
    description="Tag that a response with such an object has, where a CDN knows tags; a change of "
    "the object purges it.",
)
class CacheTag:
    format: str = strawberry.directive_field(name="format")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="Points the field adds to an operation's cost, beyond 1 for each object "
    "it returns (IBM cost specification).",
)
class Cost:
    weight: str = strawberry.directive_field(name="weight")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="List length assumed when the cost of an operation is estimated (IBM "
    "cost specification).",
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
    "constraint": {
        "maxLength": "Characters of the string, or of each string in the list, at most.",
        "maxItems": "Items of the list, at most.",
        "min": "The number, at least.",
        "max": "The number, at most.",
    },
    "auth": {"requires": "The lowest role that may select the field."},
    "cacheControl": {
        "maxAge": "Seconds that a cache may use the response.",
        "sMaxAge": "Seconds for a shared cache, which is purged; null means as `maxAge`.",
        "staleWhileRevalidate": "Seconds after that in which a cache may go on using the "
        "response while it asks for a new one.",
        "staleIfError": "Seconds after that in which a cache may go on using the response "
        "while the server cannot answer.",
        "scope": "Who may share the cached response; null means PUBLIC.",
    },
    "cacheTag": {"format": "The tag; {$key.id} stands for the object's id."},
    "cost": {"weight": "Points to add, a whole number such as 10."},
    "listSize": {
        "assumedSize": "Number of items assumed when no slicing argument is given.",
        "slicingArguments": "Names of the arguments that limit the number of items, such as first.",
        "sizedFields": "List fields of the returned type that the size applies to, such as edges.",
        "requireOneSlicingArgument": "Whether exactly one slicing argument must be given.",
    },
}


def describe_arguments(schema: GraphQLSchema) -> None:
    """Set the descriptions of directive arguments, for which Strawberry has no place."""
    for directive in schema.directives:
        for name, text in _ARGUMENTS.get(directive.name, {}).items():
            directive.args[name].description = text
