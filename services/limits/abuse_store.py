"""Statuses of prefixes in the state's Redis, shared by all processes and operators.

No answer depends on it: a process that cannot reach Redis counts locally (abuse_watch.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from services.limits.abuse_rules import (
    BURST_SECONDS,
    DOCUMENT_POINTS,
    DOCUMENTS_SECONDS,
    MAX_DOCUMENTS,
    REQUEST_POINTS,
    AbuseLevel,
    AbuseRules,
    AbuseSignals,
    PrefixStatus,
)
from services.redis import cache_keys
from services.redis.link import RedisLink
from services.redis.scripts import Script

_COUNT = Script("limits", "abuse_common", "abuse_count")
_LIST_STATUSES = Script("limits", "abuse_common", "abuse_statuses")
_MAX_STATUSES = 2000
_REASON_CHARACTERS = 200


class LevelChange(NamedTuple):
    """A change of a prefix's level; reported to one of all processes."""

    prefix: str
    before: AbuseLevel
    after: AbuseLevel


class AbuseStore:
    """Statuses in Redis. Every method raises UpstreamUnavailable while Redis is away.

    Args:
        key_prefix: REDIS_KEY_PREFIX.
    """

    def __init__(self, redis: RedisLink, rules: AbuseRules, key_prefix: str = "") -> None:
        self._redis = redis
        self._scripts = redis.scripts
        self._key_prefix = key_prefix
        self._statuses = key_prefix + cache_keys.ABUSE_STATUSES
        self._rules = rules
        self._thresholds = (rules.slow_score, rules.documents_score, rules.block_score)
        self._half_life_ms = rules.half_life_seconds * 1000

    async def count(
        self, prefix: str, signals: AbuseSignals, now: float
    ) -> tuple[AbuseLevel, PrefixStatus]:
        """Add signals to a prefix's score; returns the level before, and the status now."""
        rules = self._rules
        before, raw = await self._scripts.call(
            _COUNT,
            3,
            *self._keys(prefix),
            self._statuses,
            prefix,
            _ms(now),
            signals.requests,
            signals.points,
            self._half_life_ms,
            rules.requests_per_second,
            BURST_SECONDS * rules.requests_per_second,
            rules.documents,
            DOCUMENTS_SECONDS * 1000,
            MAX_DOCUMENTS,
            REQUEST_POINTS,
            DOCUMENT_POINTS,
            *self._thresholds,
            rules.block_seconds * 1000,
            rules.block_most_seconds * 1000,
            _MAX_STATUSES,
            *signals.document_hashes,
        )
        return AbuseLevel(before), _parse_status(prefix, raw)

    async def list_statuses(self, now: float) -> tuple[list[PrefixStatus], list[LevelChange]]:
        """List all statuses but NORMAL, and the changes by decay since the last call."""
        current, changed = await self._scripts.call(
            _LIST_STATUSES, 1, self._statuses, _ms(now), self._half_life_ms, *self._thresholds
        )
        prefixes = [prefix.decode() for prefix in current[::2]]
        return [
            _parse_status(prefix, raw) for prefix, raw in zip(prefixes, current[1::2], strict=True)
        ], list(_parse_changes(changed))

    async def block(self, prefix: str, until: float, now: float, reason: str) -> None:
        """Block a prefix by hand; all processes apply it within a second."""
        key, _ = self._keys(prefix)
        status = f"{int(AbuseLevel.BLOCKED)} 0 {_ms(now)} {_ms(until)}"
        fields: dict[Any, Any] = {"score": 0, "at": _ms(now), "until": _ms(until)}
        fields["reason"] = reason[:_REASON_CHARACTERS]
        with self._redis.translate_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=fields)
                pipeline.pexpire(key, _ms(until - now) + 60_000)
                pipeline.hset(self._statuses, prefix, status)
                await pipeline.execute()

    async def lift(self, prefix: str) -> bool:
        """Delete a prefix's score and status; false when it had none."""
        with self._redis.translate_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hdel(self._statuses, prefix)
                pipeline.delete(*self._keys(prefix))
                return any(await pipeline.execute())

    async def get_reason(self, prefix: str) -> str | None:
        """Return the reason that an operator gave for a block."""
        with self._redis.translate_errors():
            raw = await self._redis.hget(self._keys(prefix)[0], "reason")
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw

    def _keys(self, prefix: str) -> tuple[str, str]:
        return (
            self._key_prefix + cache_keys.ABUSE_PREFIX.format(prefix),
            self._key_prefix + cache_keys.ABUSE_DOCUMENTS.format(prefix),
        )


def _parse_changes(raw: list[Any]) -> Iterator[LevelChange]:
    for prefix, before, after in zip(raw[::3], raw[1::3], raw[2::3], strict=True):
        yield LevelChange(prefix.decode(), AbuseLevel(before), AbuseLevel(after))


def _parse_status(prefix: str, raw: bytes) -> PrefixStatus:
    level, score, at, until = raw.split()
    return PrefixStatus(
        prefix, AbuseLevel(int(level)), float(score), int(at) / 1000, int(until) / 1000
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
