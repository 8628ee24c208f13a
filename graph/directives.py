"""Directives clients and tools can read in the schema. Each states what the server really does."""

from __future__ import annotations

import strawberry
from strawberry.schema_directive import Location

import models
from graph.enums import described

Role = described(
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
    requires: models.Role = strawberry.directive_field(
        name="requires", default=models.Role.USER
    )
