"""Picture qualities as clients see them."""

from __future__ import annotations

from graph.base.enums import describe_enum
from services.quality import Quality

describe_enum(
    Quality,
    "Picture quality by vertical resolution.",
    {
        "P360": "360 lines (360p).",
        "P480": "480 lines (480p).",
        "P720": "720 lines (720p, HD).",
        "P1080": "1080 lines (1080p, Full HD).",
        "P2160": "2160 lines (2160p, 4K).",
        "UNKNOWN": "Unknown, or adapted by the player during playback.",
    },
)

__all__ = ["Quality"]
