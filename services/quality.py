"""Picture qualities, with the same names in answers and in inputs."""

from __future__ import annotations

from enum import Enum


class Quality(Enum):
    """Picture quality, named by its height in lines."""

    P360 = "P360"
    P480 = "P480"
    P720 = "P720"
    P1080 = "P1080"
    P2160 = "P2160"
    UNKNOWN = "UNKNOWN"

    @property
    def height(self) -> int:
        """Height of the picture in lines; 0 for UNKNOWN."""
        return 0 if self is Quality.UNKNOWN else int(self.value[1:])
