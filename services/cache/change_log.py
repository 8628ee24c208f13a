"""Which keys were invalidated when: what was read before an invalidation must not be stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

_MAX_KEYS = 10_000


class ChangeLog:
    """Invalidations of one process, counted; the last 10,000 keys are known by name."""

    def __init__(self) -> None:
        self.count = 0
        self._by_key: OrderedDict[str, int] = OrderedDict()
        self._all_until = 0  # the keys of invalidations up to this one are not known

    def record(self, keys: Iterable[str] | None) -> None:
        """Record an invalidation of these keys; None: of all."""
        self.count += 1
        if keys is None:
            self._all_until = self.count
            return
        for key in keys:
            self._by_key[key] = self.count
            self._by_key.move_to_end(key)
        while len(self._by_key) > _MAX_KEYS:
            _, self._all_until = self._by_key.popitem(last=False)

    def has_all_changed(self, since: int) -> bool:
        """Whether any key may have been invalidated after the `count` of then."""
        return since < self._all_until

    def has_changed(self, keys: Iterable[str], since: int) -> bool:
        """Whether one of the keys was, or may have been, invalidated after `since`."""
        if since == self.count:
            return False
        return since < self._all_until or any(self._by_key.get(key, 0) > since for key in keys)
