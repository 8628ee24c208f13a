"""Links to Redis whose calls go the lean way, scripts for them, and the counts of calls by way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry.metrics import REGISTRY


def make_script(text: str) -> Script:
    """A script of this text alone."""
    return Script("redis", constants=text)


ECHO = make_script("return ARGV[1]")


async def echo(link: RedisLink, text: str) -> Any:
    return await link.scripts.call(ECHO, 0, text)


@asynccontextmanager
async def open_link(
    uri: str, *, lean: bool = True, timeout_seconds: float = 2.0
) -> AsyncIterator[RedisLink]:
    link = RedisLink(uri, timeout_seconds=timeout_seconds, max_connections=5, lean=lean)
    try:
        yield link
    finally:
        await link.aclose()


class CallCounts:
    """Calls since this was made: `lean` ones, and those left to redis-py by reason."""

    def __init__(self) -> None:
        self._before = _counts()

    @property
    def lean(self) -> int:
        return self._since("lean")

    @property
    def fallbacks(self) -> dict[str, int]:
        return {why: count for why in ("setup", "too_large") if (count := self._since(why))}

    def _since(self, name: str) -> int:
        return _counts()[name] - self._before[name]


def _counts() -> dict[str, int]:
    counts = {
        why: REGISTRY.get_sample_value("redis_fallback_calls_total", {"why": why})
        for why in ("setup", "too_large")
    }
    counts["lean"] = REGISTRY.get_sample_value("redis_lean_calls_total")
    return {name: int(count or 0) for name, count in counts.items()}
