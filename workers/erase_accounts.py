"""Erases the data of deleted accounts from MongoDB and Redis."""

from __future__ import annotations

from contextlib import suppress

from resolvers.accounts.erasure import erase_deleted
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable


async def erase_accounts(runtime: Runtime) -> None:
    """Erase accounts that are due; while a store is unavailable, again in a minute."""
    with suppress(UpstreamUnavailable):
        await erase_deleted(runtime)
