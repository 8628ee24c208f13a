"""Images as clients see them: addresses made for the size they need."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import strawberry

from graph.base.enums import describe_enum
from graph.base.fields import computed
from graph.base.info import Info
from graph.base.scalars import URL
from services import cdn
from services.errors import ValidationFailed

describe_enum(
    cdn.ImageFormat,
    "The file format of an image.",
    {
        "AUTO": "The best one the browser takes.",
        "AVIF": "AVIF.",
        "WEBP": "WebP.",
        "JPEG": "JPEG.",
        "PNG": "PNG.",
    },
)
Width = Annotated[int | None, strawberry.argument(description="Pixels across.")]
Height = Annotated[int | None, strawberry.argument(description="Pixels down.")]
WIDTHS = list(cdn.WIDTHS)
_MOST_WIDTHS = 10
Widths = Annotated[
    list[int] | None, strawberry.argument(description="Pixels across, one per variant.")
]
Quality = Annotated[int | None, strawberry.argument(description="1 (small) to 100 (fine).")]
Format = Annotated[cdn.ImageFormat | None, strawberry.argument(description="The file format.")]


class ImageRef(NamedTuple):
    path: str


def _url(
    image: strawberry.Parent[ImageRef],
    info: Info,
    width: Width = None,
    height: Height = None,
    quality: Quality = 80,
    format: Format = cdn.ImageFormat.AUTO,
) -> str:
    return info.context.runtime.cdn.image_url(
        image.path,
        width=width,
        height=height,
        quality=quality or 80,
        format=format or cdn.ImageFormat.AUTO,
    )


def _src_set(
    image: strawberry.Parent[ImageRef],
    info: Info,
    widths: Widths = WIDTHS,
    quality: Quality = 80,
    format: Format = cdn.ImageFormat.AUTO,
) -> str:
    widths = widths or WIDTHS
    if len(widths) > _MOST_WIDTHS:
        raise ValidationFailed(f"`widths` has at most {_MOST_WIDTHS} items.", path=["widths"])
    return info.context.runtime.cdn.src_set(
        image.path, widths, quality=quality or 80, format=format or cdn.ImageFormat.AUTO
    )


@strawberry.type(description="A picture, in any size.")
class Image:
    url: URL = computed(_url, "The address of one variant.")
    src_set: str = computed(_src_set, "Addresses of several widths, as HTML's srcset takes them.")
