"""Keep the documents that clients registered within their bytes; those used last stay."""

from __future__ import annotations

import models
from resolvers.context import Runtime

_PERIOD_SECONDS = 50.0
_CLAIM = "trim_documents"


async def trim_documents(runtime: Runtime) -> int:
    """Delete what is beyond the bound, once a minute for all processes; returns how many."""
    if not await runtime.ops.jobs.queue.claim_period(_CLAIM, _PERIOD_SECONDS):
        return 0
    return await models.trim_registered()
