"""Operations over a socket, counted and logged as requests are: one line each, when it has ended.

A stream's time says how long somebody watched, not how fast we were: it is logged, not counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from resolvers.context import Context
from services.telemetry.access_log import AccessLog
from services.telemetry.live_metrics import LiveMetrics


@dataclass(slots=True)
class OperationRecord:
    """What there is to tell of one operation. `outcome` is complete, refused, cancelled (by the
    client), gone (the client) or failed (our fault)."""

    context: Context
    started: float = field(default_factory=time.perf_counter)
    label: str | None = None
    is_stream: bool = False
    is_our_fault: bool = False
    outcome: str = "complete"


class OperationLog:
    def __init__(self, log: AccessLog, live: LiveMetrics) -> None:
        self._log = log
        self._live = live

    def write(self, told: OperationRecord) -> None:
        seconds = time.perf_counter() - told.started
        if not told.is_stream:
            self._live.record_request(seconds, failed=told.is_our_fault)
        self._log.write(
            {
                "event": "request",
                "at": time.time(),
                "request_id": told.context.request_id,
                "method": "WEBSOCKET",
                "route": "/graphql",
                "operation": told.label,
                "outcome": told.outcome,
                "ms": round(seconds * 1000, 3),
                "address": told.context.client_address,
            }
        )
