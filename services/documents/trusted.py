"""The documents that operators pushed, in a process's memory: all of them, by id and by text.

An id has one text for good. Which clients a document belongs to may change with each push.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_CHARACTERS = 15_000  # of any document's text
MAX_TRUSTED = 10_000
_MAX_USED = 20_000
MAX_TRUSTED_BYTES = 32 * 1024 * 1024  # of all texts


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """A pushed document and the names of the clients that it was pushed for."""

    id: str
    text: str
    clients: frozenset[str]


class TrustedDocuments:
    """One per process; empty until they are loaded."""

    def __init__(self) -> None:
        self._by_id: dict[str, TrustedDocument] = {}
        self.texts_by_id: dict[str, str] = {}  # read for each request
        self.texts: frozenset[str] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        self._used: set[str] = set()

    def get(self, document_id: str) -> TrustedDocument | None:
        """Return the document of this id; None if there is none."""
        return self._by_id.get(document_id)

    def list_all(self) -> list[TrustedDocument]:
        """List all of them."""
        return list(self._by_id.values())

    def replace(self, documents: Iterable[TrustedDocument]) -> None:
        """Replace all of them, and notify the listeners."""
        self._by_id = {one.id: one for one in documents}
        self.texts_by_id = {one.id: one.text for one in self._by_id.values()}
        self.texts = frozenset(self.texts_by_id.values())
        for listener in list(self._listeners):
            listener()

    def add(self, document: TrustedDocument) -> None:
        """Add one that was pushed a moment ago, or replace it."""
        if self._by_id.get(document.id) != document:
            self.replace([*self._by_id.values(), document])

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` in the loop after each change; returns the unsubscriber."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def record_use(self, document_id: str) -> None:
        """Note that a client asked for this id, which is a trusted or a registered document's."""
        if len(self._used) < _MAX_USED:
            self._used.add(document_id)

    def take_used(self) -> list[str]:
        """Return the ids that were asked for since the last call."""
        used, self._used = sorted(self._used), set()
        return used
