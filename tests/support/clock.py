"""A clock for tests: it moves when a test moves it, never by itself."""

from __future__ import annotations

from dataclasses import dataclass

START = 1_800_000_000.0  # 2027-01-15 08:00 UTC, the beginning of a minute


@dataclass
class Clock:
    """Seconds since the epoch, for whatever takes a clock; tests set `now` or `now_ms`.

    Args:
        now: The instant shown, in seconds.
        step_seconds: How far the clock moves on before each reading.
    """

    now: float = START
    step_seconds: float = 0.0

    def __call__(self) -> float:
        self.now += self.step_seconds
        return self.now

    def time(self) -> float:
        """Read the clock as the module `time` is read."""
        return self()

    @property
    def now_ms(self) -> int:
        return round(self.now * 1000)

    @now_ms.setter
    def now_ms(self, ms: int) -> None:
        self.now = ms / 1000
