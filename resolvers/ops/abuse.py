"""What operations report to the abuse watch, and which of them it refuses.

Applies to every protocol; over HTTP a blocked client does not get this far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from resolvers.context import Context
from services.errors import ErrorCode, Forbidden, PersistedQueryRequired
from services.limits.abuse_rules import AbuseLevel, Signal
from services.telemetry import metrics

_SIGNALS = {
    ErrorCode.VALIDATION_FAILED.value: Signal.INVALID_REQUEST,
    ErrorCode.PERSISTED_QUERY_NOT_FOUND.value: Signal.UNKNOWN_DOCUMENT,
    ErrorCode.COST_LIMIT_EXCEEDED.value: Signal.COST_REFUSED,
    ErrorCode.RATE_LIMITED.value: Signal.RATE_LIMITED,
}
BLOCKED_MESSAGE = "Too much misuse came from your network: it is blocked for a while."


def enforce_abuse_level(
    context: Context, document: str | None, is_trusted: Callable[[str], bool]
) -> None:
    """Refuse an operation of a client whose account or address prefix is blocked or restricted.

    Args:
        document: its text; None where nothing has the id that was sent.

    Raises:
        Forbidden: the prefix is blocked.
        PersistedQueryRequired: it may only run trusted documents, and this is none.
    """
    watch = context.runtime.ops.abuse_watch
    status = watch.get_status(context.client_address, context.viewer_id) if watch.enforces else None
    if status is None:
        return
    level = watch.get_level(status)
    if level is AbuseLevel.BLOCKED:
        metrics.abuse_refused_total.labels("blocked").inc()
        raise Forbidden(
            BLOCKED_MESSAGE, retry_after_seconds=math.ceil(watch.get_block_seconds(status))
        )
    if level is AbuseLevel.DOCUMENTS and not (document is not None and is_trusted(document)):
        metrics.abuse_refused_total.labels("documents").inc()
        raise PersistedQueryRequired(
            "Too much misuse came from your network: only stored documents run for now."
        )


def refuse_registration(context: Context) -> None:
    """Refuse to register a document for a client whose account or prefix misuses the service.

    Raises:
        PersistedQueryRequired: it is slowed down, or more than that.
    """
    watch = context.runtime.ops.abuse_watch
    status = watch.get_status(context.client_address, context.viewer_id) if watch.enforces else None
    if status is not None and watch.get_level(status) is not AbuseLevel.NORMAL:
        metrics.abuse_refused_total.labels("registration").inc()
        raise PersistedQueryRequired(
            "Too much misuse came from your network: no documents are registered for now."
        )


def is_blocked(context: Context) -> bool:
    """Whether the client's account or address prefix is blocked."""
    watch = context.runtime.ops.abuse_watch
    if not watch.enforces:
        return False
    status = watch.get_status(context.client_address, context.viewer_id)
    return status is not None and watch.get_level(status) is AbuseLevel.BLOCKED


def record_new_document(context: Context, shape: str) -> None:
    """Record a document this process had to parse first.

    All clients of one version send the same few; a client with many new ones is suspicious.
    """
    context.runtime.ops.abuse_watch.record_document(
        context.client_address, shape, context.viewer_id
    )


def record_refusal(context: Context, errors: Iterable[dict[str, Any]]) -> None:
    """Record a request that did not run. Its first error counts: one request, one fault."""
    for error in errors:
        signal = _SIGNALS.get(error["extensions"]["code"])
        if signal is not None:
            context.runtime.ops.abuse_watch.record_signal(
                context.client_address, signal, account=context.viewer_id
            )
        return
