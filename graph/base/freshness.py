"""How long caches may use a public answer."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

_DAY = 24 * 3600


class Freshness(NamedTuple):
    """Seconds that an answer may be used; the least of an answer's parts holds for all of it.

    RFC 9111 and RFC 5861 name them. Shared caches are purged when something changes, so a longer
    time than for browsers is as good as theirs.
    """

    max_age: int
    stale_while_revalidate: int
    stale_if_error: int = _DAY
    shared_max_age: int | None = None  # of caches that are purged; None: max_age

    @property
    def shared_seconds(self) -> int:
        """Seconds in caches that serve many clients."""
        return self.max_age if self.shared_max_age is None else self.shared_max_age

    def shorten(self, other: Freshness) -> Freshness:
        """The least of both, each time for itself."""
        return Freshness(
            min(self.max_age, other.max_age),
            min(self.stale_while_revalidate, other.stale_while_revalidate),
            min(self.stale_if_error, other.stale_if_error),
            min(self.shared_seconds, other.shared_seconds),
        )


CATALOGUE = Freshness(60, 60)  # films and shows, which editors change
FIGURES = Freshness(300, 300)  # genres and sums
CONSTANT = Freshness(3600, 3600)  # changes with a release


def least(parts: list[Freshness]) -> Freshness | None:
    """The least of all parts; None where there are none."""
    return reduce(Freshness.shorten, parts) if parts else None
