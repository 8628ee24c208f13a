"""Mails about accounts on their way: registrations, codes, notices."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from resolvers.accounts.mail_requests import send_next
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable

_AT_ONCE = 4
_MOST_EACH = 25  # then the next run continues


async def send_mail(runtime: Runtime) -> None:
    """Send due mails while mail server and MongoDB answer; the next run is a second later."""
    await asyncio.gather(*(_send_some(runtime) for _ in range(_AT_ONCE)))


async def _send_some(runtime: Runtime) -> None:
    with suppress(UpstreamUnavailable):
        for _ in range(_MOST_EACH):
            if not await send_next(runtime):
                return
