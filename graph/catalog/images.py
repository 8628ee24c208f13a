"""Images as clients see them: addresses made for the size they need."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import strawberry

from graph.base.bounds import bound
from graph.base.enums import describe_enum
from graph.base.fields import computed
from graph.base.info import Info
from graph.base.scalars import URL
from services import cdn

describe_enum(
    cdn.ImageFormat,
    "Image file format.",
    {
        "AUTO": "The best format the browser accepts.",
        "AVIF": "AVIF (image/avif).",
        "WEBP": "WebP (image/webp).",
        "JPEG": "JPEG (image/jpeg).",
        "PNG": "PNG (image/png).",
    },
)
Width = Annotated[
    int | None,
    strawberry.argument(
        description="Width in pixels, rounded up to one of 185, 342, 500, 780 and 1280; null "
        "for the original width."
    ),
]
Height = Annotated[
    int | None, strawberry.argument(description="Height in pixels; null follows from the width.")
]
WIDTHS = list(cdn.WIDTHS)
Widths = Annotated[
    list[int] | None,
    strawberry.argument(
        description="Widths in pixels, one per variant, each rounded up to one of 185, 342, "
        "500, 780 and 1280; at most 10.",
        directives=bound(items=10),
    ),
]
Quality = Annotated[
    int | None,
    strawberry.argument(
        description="Compression quality: 1 (smallest file) to 100 (best picture)."
    ),
]
Format = Annotated[
    cdn.ImageFormat | None, strawberry.argument(description="File format of the image.")
]


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
    return info.context.runtime.catalog.cdn.image_url(
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
    return info.context.runtime.catalog.cdn.src_set(
        image.path, widths, quality=quality or 80, format=format or cdn.ImageFormat.AUTO
    )


@strawberry.type(description="An image, available in any size.")
class Image:
    url: URL = computed(_url, "URL of one variant.", is_pure=True)
    src_set: str = computed(
        _src_set,
        "URLs of several widths in the format of the HTML `srcset` attribute.",
        is_pure=True,
    )


def image(attribute: str, description: str) -> Any:
    """Declare a field that is the image whose path the record has under this name."""

    def ref(record: strawberry.Parent[Any]) -> ImageRef | None:
        path = getattr(record, attribute)
        return ImageRef(path) if path else None

    return computed(ref, description, needs=[attribute], is_pure=True)
