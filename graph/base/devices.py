"""Devices that viewers sign in and watch on."""

from __future__ import annotations

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.fields import plain

describe_enum(
    models.DeviceKind,
    "Kind of device.",
    {
        "WEB": "A web browser.",
        "MOBILE": "A phone or a tablet.",
        "TV": "A television or a set-top box.",
        "OTHER": "Any other device.",
    },
)


@strawberry.type(description="A device that a viewer signs in or watches on.")
class Device:
    key: str = plain("Device key chosen by the client, stable for the life of its installation.")
    name: str | None = plain("Display name, such as Living room; null if none was given.")
    kind: models.DeviceKind = plain("Kind of device.")


@strawberry.input(description="The device that the viewer signs in or watches on.")
class DeviceInput:
    key: str = strawberry.field(
        description="Device key chosen by the client, stable for the life of its "
        "installation: 1 to 128 characters."
    )
    name: str | None = strawberry.field(
        default=None, description="Display name, such as Living room; at most 80 characters."
    )
    kind: models.DeviceKind = strawberry.field(
        default=models.DeviceKind.WEB, description="Kind of device."
    )

    def device(self) -> models.Device:
        """Build the stored device."""
        return models.Device(key=self.key, name=self.name, kind=self.kind)
