"""What the abuse watch hears of operations, and what it keeps from running.

Whatever protocol brought them: over HTTP a blocked client does not come this far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def enforce_abuse_level(context: Context, *, is_document_known: bool) -> None:
    """
    Raises:
        Forbidden: the client's prefix is blocked.
        PersistedQueryRequired: it may only run documents known by their id, and this is none.
    """
    watch = context.runtime.abuse_watch
    standing = watch.get_status(context.client_address) if watch.enforces else None
    if standing is None:
        return
    level = watch.get_level(standing)
    if level is AbuseLevel.BLOCKED:
        metrics.abuse_refused_total.labels("blocked").inc()
        raise Forbidden(
            BLOCKED_MESSAGE, retry_after_seconds=math.ceil(watch.get_block_seconds(standing))
        )
    if level is AbuseLevel.DOCUMENTS and not is_document_known:
        metrics.abuse_refused_total.labels("documents").inc()
        raise PersistedQueryRequired(
            "Too much misuse came from your network: only documents known by their id run for now."
        )


def record_new_document(context: Context, shape: str) -> None:
    """One this process had to read first: all clients of one version send the same few."""
    context.runtime.abuse_watch.record_document(context.client_address, shape)


def record_refusal(context: Context, errors: Iterable[dict[str, Any]]) -> None:
    """The request did not run. Only its first error counts: one request is one fault."""
    for error in errors:
        signal = _SIGNALS.get(error["extensions"]["code"])
        if signal is not None:
            context.runtime.abuse_watch.record_signal(context.client_address, signal)
        return
