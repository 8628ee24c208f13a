"""Which documents a client may run, and which texts it may register: the engine's side of it.

A text that comes with its SHA-256 is registered once the request is admitted: that costs points,
and misusers may not.
"""

from __future__ import annotations

from graph.engine.persisted.ids import DocumentIds
from resolvers.context import Context
from resolvers.ops import documents
from services.documents.ids import is_sha256
from services.documents.modes import DocumentMode
from services.errors import UpstreamUnavailable

REGISTRATION_POINTS = 50
_ALL_OFF = DocumentMode.OFF.value  # what is usual, known without a look at the viewer


class DocumentAccess:
    """One per process."""

    def __init__(self, ids: DocumentIds) -> None:
        self._ids = ids

    def find_text(self, text: str | None, document_id: str | None, context: Context) -> str | None:
        """Return the text to run, as far as this process knows that the client may run it."""
        if text is not None or document_id is None:
            return text
        name = context.client_name
        if name is not None and not self._ids.is_for(name, document_id):
            return None
        return self._ids.find_text(document_id)

    def enforce(self, text: str | None, document_id: str | None, context: Context) -> None:
        """Refuse a request whose document the client may not run.

        Args:
            text: what would run; None if nothing has the id.

        Raises:
            PersistedQueryNotFound: the document belongs to other clients.
            PersistedQueryRequired: it is not trusted, and the viewer may run trusted ones alone.
        """
        if text is None:
            return
        if document_id is not None:
            self._ids.use_as(context.client_name, document_id)
        if context.runtime.settings.trusted_documents != _ALL_OFF:
            mode = documents.find_mode(context)
            if mode is not DocumentMode.OFF and not self._ids.has_text(text):
                documents.enforce_trust(context, mode, text)

    async def look_up(self, document_id: str, context: Context) -> str | None:
        """Ask the stores for a text that this process does not know, and remember it.

        Raises:
            UpstreamUnavailable: they did not answer, and clients cannot send the text instead.
        """
        store = context.runtime.ops.documents
        try:
            if store.trusted.get(document_id) is not None:  # of other clients, until lately
                await store.refresh(document_id)
                return self._ids.find_text(document_id)
            text = await store.find(document_id)
        except UpstreamUnavailable:
            if not is_sha256(document_id):
                raise
            return None
        if text is not None and self._ids.find_text(document_id) is None:
            self._ids.remember(document_id, text)
        return text

    def may_be_pushed(self, document_id: str) -> bool:
        """Whether the text of an id that is no SHA-256 has to be looked for."""
        return not is_sha256(document_id) and self._ids.find_text(document_id) is None

    def is_registration(self, text: str | None, document_id: str | None) -> bool:
        """Whether a request registers its text."""
        if text is None or document_id is None or not is_sha256(document_id):
            return False
        return self._ids.find_text(document_id) is None

    async def register(self, text: str, document_id: str, context: Context) -> None:
        """Register a text under its SHA-256: here, and for all other processes."""
        self._ids.remember(document_id, text)
        await context.runtime.ops.documents.register(document_id, text)
