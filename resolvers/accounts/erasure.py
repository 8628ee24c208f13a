"""Erasure of deleted accounts: first by later subjects (Redis, by keys found in MongoDB).

Promise: an account marked as deleted is erased until none of its data can come back, whatever fails
meanwhile. Reports in flight are flushed for a while yet, so erasure is repeated.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import models
from resolvers.accounts.sign_out import close_account
from resolvers.context import Context, Runtime
from services.telemetry import metrics
from services.telemetry.logs import get_logger

_MOST_AT_ONCE = 20
_SOONEST, _LATEST = timedelta(minutes=1), timedelta(minutes=30)
_DONE_AFTER = timedelta(hours=2)  # its tokens have ended, its playback sessions are forgotten
log = get_logger("accounts")


async def erase_deleted(runtime: Runtime) -> int:
    """Run one erasure pass over due accounts; returns how many are deleted for good.

    Raises:
        UpstreamUnavailable: a store is unavailable; another pass continues in a minute.
    """
    erased = 0
    for _ in range(_MOST_AT_ONCE):
        at = datetime.fromtimestamp(runtime.clock(), UTC)
        deleted = await models.take_deleted_user(at, _SOONEST)
        if deleted is None:
            break
        erased += await _erase(runtime, deleted.id, at, at - deleted.deleted_at)
    return erased


async def _erase(runtime: Runtime, user_id: str, at: datetime, age: timedelta) -> bool:
    await close_account(Context(runtime), user_id)
    is_flushed = all([await erase(user_id) for erase in runtime.accounts.erasers])
    erased = await models.erase_personal_data(user_id)
    if erased:
        log.info("personal_data_erased", user=user_id, documents=erased)
    if age < _DONE_AFTER or erased or not is_flushed:
        await models.delay_erasure(user_id, at + min(max(_SOONEST, age), _LATEST))
        return False
    metrics.accounts_erased_total.inc()
    return await models.drop_deleted_user(user_id)
