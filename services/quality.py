"""Picture qualities, the same names wherever a quality is told or asked for."""

from __future__ import annotations

from enum import Enum


class Quality(Enum):
    P360 = "P360"
    P480 = "P480"
    P720 = "P720"
    P1080 = "P1080"
    P2160 = "P2160"
    UNKNOWN = "UNKNOWN"

    @property
    def height(self) -> int:
        """Lines of the picture; 0 when it is not known."""
        return 0 if self is Quality.UNKNOWN else int(self.value[1:])
