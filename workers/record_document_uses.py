"""Write down which documents clients asked this process for, to the hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Runtime

_HOUR = timedelta(hours=1)
_BATCH = 500


async def record_document_uses(runtime: Runtime) -> int:
    """Record the uses since the last run; returns of how many documents."""
    used = runtime.ops.documents.trusted.take_used()
    now = datetime.fromtimestamp(runtime.clock(), UTC)
    for start in range(0, len(used), _BATCH):
        batch = used[start : start + _BATCH]
        await models.mark_pushed_used(batch, now, now - _HOUR)
        await models.mark_registered_used(batch, now, now - _HOUR)
    return len(used)
