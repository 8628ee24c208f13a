"""Documents that operators trust: who has to keep to them, and how they are pushed and pruned."""

from __future__ import annotations

import hashlib

from models import Role
from resolvers.context import Context
from services.documents.modes import DocumentMode, parse_modes
from services.errors import PersistedQueryRequired
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("documents")


def find_mode(context: Context) -> DocumentMode:
    """Find the mode of the viewer's role."""
    modes = parse_modes(context.runtime.settings.trusted_documents)
    role = context.viewer.role if context.viewer is not None else Role.ANONYMOUS
    return modes[role.value]


def enforce_trust(context: Context, mode: DocumentMode, text: str) -> None:
    """Log or refuse a document that is not trusted.

    Raises:
        PersistedQueryRequired: the viewer may run trusted documents alone.
    """
    metrics.untrusted_documents_total.labels(mode.value).inc()
    if mode is DocumentMode.ENFORCE:
        raise PersistedQueryRequired("Only documents that were pushed before run here.")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if context.runtime.ops.documents.is_first_sight(digest):
        log.info("untrusted_document_run", sha256=digest, client=context.client_name)
