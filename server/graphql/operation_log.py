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

    def write(self, record: OperationRecord) -> None:
        seconds = time.perf_counter() - record.started
        if not record.is_stream:
            self._live.record_request(seconds, failed=record.is_our_fault)
        self._log.write(
            {
                "event": "request",
                "at": time.time(),
                "request_id": record.context.request_id,
                "method": "WEBSOCKET",
                "route": "/graphql",
                "operation": record.label,
                "outcome": record.outcome,
                "ms": round(seconds * 1000, 3),
                "address": record.context.client_address,
            }
        )
