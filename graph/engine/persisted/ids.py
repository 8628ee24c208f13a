"""Texts by id, as far as this process has them: trusted documents, and registered texts.

Trusted are the documents of PUBLISHED_DOCUMENTS, which belong to every client, and pushed ones.
Strangers register texts: theirs are in an LRU of their own, so that they displace no others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from services.cache.byte_lru import ByteLru
from services.documents.trusted import TrustedDocuments
from services.errors import PersistedQueryNotFound

MAX_REGISTERED_BYTES = 12 * 1024 * 1024
MAX_REGISTERED = 1_000
_OVERHEAD_BYTES = 500
NOT_FOUND = "PersistedQueryNotFound"  # what clients look for


class DocumentIds:
    """One per process."""

    def __init__(self, published: Mapping[str, str], trusted: TrustedDocuments) -> None:
        self._published = dict(published)
        self._published_texts = frozenset(self._published.values())
        self.trusted = trusted
        self._registered: ByteLru[str, str] = ByteLru(MAX_REGISTERED_BYTES, MAX_REGISTERED)

    def find_text(self, document_id: str) -> str | None:
        """Return the text of this id; None if this process has none."""
        return (
            self._registered.get(document_id)
            or self._published.get(document_id)
            or self.trusted.texts_by_id.get(document_id)
        )

    def has_text(self, text: str) -> bool:
        """Whether a trusted document has exactly this text."""
        return text in self._published_texts or text in self.trusted.texts

    def list_trusted_texts(self) -> list[str]:
        """List the texts of all trusted documents."""
        return [*self._published_texts, *(one.text for one in self.trusted.list_all())]

    def is_for(self, client_name: str | None, document_id: str) -> bool:
        """Whether a client may use an id: a pushed document may belong to others alone.

        A client without a name may be any.
        """
        if client_name is None or document_id in self._published:
            return True
        pushed = self.trusted.get(document_id)
        return pushed is None or client_name in pushed.clients

    def use_as(self, client_name: str | None, document_id: str) -> None:
        """Note the use of a document by a client.

        Raises:
            PersistedQueryNotFound: the document belongs to other clients alone.
        """
        if client_name is not None and not self.is_for(client_name, document_id):
            raise PersistedQueryNotFound(f"The client {client_name!r} has no document of this id.")
        self.trusted.record_use(document_id)

    def remember(self, document_id: str, text: str) -> None:
        """Remember a text that a client registered under its SHA-256."""
        self._registered.put(document_id, text, sys.getsizeof(text) + _OVERHEAD_BYTES)
