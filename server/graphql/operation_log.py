"""Operations over sockets, counted and logged as requests are: one line each, at the end.

A stream's duration says how long the client listened, not how fast the server is: it is logged,
not counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from resolvers.context import Context
from services.telemetry.access_log import AccessLog
from services.telemetry.live_metrics import LiveMetrics


@dataclass(slots=True)
class OperationRecord:
    """One operation's log record.

    `outcome` is complete, refused, cancelled (by the client), gone (the client disconnected) or
    failed (our fault).
    """

    context: Context
    started: float = field(default_factory=time.perf_counter)
    label: str | None = None
    is_stream: bool = False
    is_our_fault: bool = False
    outcome: str = "complete"


class OperationLog:
    """Writes operations to the access log and the live metrics."""

    def __init__(self, log: AccessLog, live: LiveMetrics) -> None:
        self._log = log
        self._live = live

    def write(self, record: OperationRecord) -> None:
        """Count and log an operation that has ended."""
        seconds = time.perf_counter() - record.started
        if not record.is_stream:
            self._live.record_request(seconds, failed=record.is_our_fault)
        self._log.write(
            {
                "event": "request",
                "request_id": record.context.request_id,
                "method": "WEBSOCKET",
                "route": "/graphql",
                "operation": record.label,
                "outcome": record.outcome,
                "ms": round(seconds * 1000, 3),
                "address": record.context.client_address,
            },
            failed=record.is_our_fault,
        )
