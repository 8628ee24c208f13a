"""What somebody signs in or watches on."""

from __future__ import annotations

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.fields import plain

describe_enum(
    models.DeviceKind,
    "What somebody watches on.",
    {
        "WEB": "A browser.",
        "MOBILE": "A phone or a tablet.",
        "TV": "A television or a box beside it.",
        "OTHER": "Anything else.",
    },
)


@strawberry.type(description="What somebody watches on.")
class Device:
    key: str = plain("Chosen by the client, the same for the life of its installation.")
    name: str | None = plain("A name for people, such as Living room.")
    kind: models.DeviceKind = plain("What it is.")


@strawberry.input(description="The device somebody signs in or watches on.")
class DeviceInput:
    key: str = strawberry.field(
        description="Chosen by the client, the same for the life of its installation; "
        "1 to 128 characters."
    )
    name: str | None = strawberry.field(
        default=None, description="A name for people, such as Living room; at most 80 characters."
    )
    kind: models.DeviceKind = strawberry.field(
        default=models.DeviceKind.WEB, description="What it is."
    )

    def device(self) -> models.Device:
        return models.Device(key=self.key, name=self.name, kind=self.kind)
