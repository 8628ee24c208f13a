"""Picture qualities as clients see them."""

from __future__ import annotations

from graph.base.enums import describe_enum
from services.quality import Quality

describe_enum(
    Quality,
    "How fine a picture is, by its lines.",
    {
        "P360": "360 lines.",
        "P480": "480 lines.",
        "P720": "720 lines.",
        "P1080": "1080 lines.",
        "P2160": "2160 lines (4K).",
        "UNKNOWN": "Not told, or chosen by the player while playing.",
    },
)

__all__ = ["Quality"]
