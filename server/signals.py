"""Signals that end a process, and its end by force when it takes too long."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from services.telemetry.log_queue import standard_error
from services.telemetry.logs import get_logger

STOP_SECONDS = 10.0
log = get_logger("server")


def stop_on_signals(
    force_after_seconds: float | None = None, *, is_supervised: bool = False
) -> asyncio.Event:
    """An event that SIGINT or SIGTERM sets; a second signal interrupts at once.

    Args:
        force_after_seconds: the process ends then, whatever it still waits for.
        is_supervised: a second signal does nothing: service managers signal all processes, and
            the supervisor does as well.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set() and is_supervised:
            return
        stop.set()
        if force_after_seconds is not None:
            forcing = threading.Timer(force_after_seconds, _force_exit)
            forcing.daemon = True
            forcing.start()
        if not is_supervised:
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    if is_supervised:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return stop


def _force_exit() -> None:
    """End the process at once, with the last lines of its log."""
    log.error("shutdown_forced")
    standard_error().drain()
    os._exit(1)
