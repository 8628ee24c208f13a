"""Standings of prefixes in the state's Redis, where all processes and operators see the same.

Nothing here is needed for an answer: who cannot reach Redis counts alone (abuse_watch.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from services.errors import UpstreamUnavailable
from services.limits.abuse_rules import (
    BURST_SECONDS,
    MOST_SHAPES,
    REQUEST_POINTS,
    SHAPE_POINTS,
    SHAPES_SECONDS,
    AbuseRules,
    Level,
    Standing,
    Tally,
)
from services.redis import cache_keys
from services.redis.pool import Client, Failure
from services.redis.scripts import Script, ScriptCalls
from services.telemetry import metrics

_COUNT = Script("limits", "abuse_common", "abuse_count")
_STANDINGS = Script("limits", "abuse_common", "abuse_standings")
_MOST_STANDINGS = 2000
_REASON_CHARACTERS = 200


class Change(NamedTuple):
    """One of a prefix's level. Of all processes, one is told."""

    prefix: str
    before: Level
    after: Level


class AbuseStore:
    """`key_prefix` is REDIS_KEY_PREFIX. All raise UpstreamUnavailable when Redis is away."""

    def __init__(self, redis: Client, rules: AbuseRules, key_prefix: str = "") -> None:
        self._redis = redis
        self._scripts = ScriptCalls(redis)
        self._key_prefix = key_prefix
        self._standings = key_prefix + cache_keys.ABUSE_STANDINGS
        self._rules = rules
        self._least = (rules.slow_score, rules.documents_score, rules.block_score)
        self._half_life_ms = rules.half_life_seconds * 1000

    async def count(self, prefix: str, tally: Tally, now: float) -> tuple[Level, Standing]:
        """The level before, and how the prefix stands with this."""
        rules = self._rules
        before, told = await self._scripts.call(
            _COUNT,
            3,
            *self._keys(prefix),
            self._standings,
            prefix,
            _ms(now),
            tally.requests,
            tally.points,
            self._half_life_ms,
            rules.requests_per_second,
            BURST_SECONDS * rules.requests_per_second,
            rules.shapes,
            SHAPES_SECONDS * 1000,
            MOST_SHAPES,
            REQUEST_POINTS,
            SHAPE_POINTS,
            *self._least,
            rules.block_seconds * 1000,
            rules.block_most_seconds * 1000,
            _MOST_STANDINGS,
            *tally.shapes,
        )
        return Level(before), _standing(prefix, told)

    async def standings(self, now: float) -> tuple[list[Standing], list[Change]]:
        """All that are not NORMAL, and which of them time has changed since anybody asked."""
        current, changed = await self._scripts.call(
            _STANDINGS, 1, self._standings, _ms(now), self._half_life_ms, *self._least
        )
        prefixes = [prefix.decode() for prefix in current[::2]]
        return [
            _standing(prefix, told) for prefix, told in zip(prefixes, current[1::2], strict=True)
        ], list(_changes(changed))

    async def block(self, prefix: str, until: float, now: float, reason: str) -> None:
        """An operator's block, in force in all processes within a second."""
        key, _ = self._keys(prefix)
        standing = f"{int(Level.BLOCKED)} 0 {_ms(now)} {_ms(until)}"
        fields: dict[Any, Any] = {"score": 0, "at": _ms(now), "until": _ms(until)}
        fields["reason"] = reason[:_REASON_CHARACTERS]
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=fields)
                pipeline.pexpire(key, _ms(until - now) + 60_000)
                pipeline.hset(self._standings, prefix, standing)
                await pipeline.execute()
        except Failure as error:
            raise _away() from error

    async def lift(self, prefix: str) -> bool:
        """Forgets all about the prefix; False when nothing was held against it."""
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hdel(self._standings, prefix)
                pipeline.delete(*self._keys(prefix))
                return any(await pipeline.execute())
        except Failure as error:
            raise _away() from error

    async def reason(self, prefix: str) -> str | None:
        """An operator's words for the block."""
        try:
            found = await self._redis.hget(self._keys(prefix)[0], "reason")
        except Failure as error:
            raise _away() from error
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    def _keys(self, prefix: str) -> tuple[str, str]:
        return (
            self._key_prefix + cache_keys.ABUSE_PREFIX.format(prefix),
            self._key_prefix + cache_keys.ABUSE_SHAPES.format(prefix),
        )


def _changes(told: list[Any]) -> Iterator[Change]:
    for prefix, before, after in zip(told[::3], told[1::3], told[2::3], strict=True):
        yield Change(prefix.decode(), Level(before), Level(after))


def _standing(prefix: str, told: bytes) -> Standing:
    level, score, at, until = told.split()
    return Standing(prefix, Level(int(level)), float(score), int(at) / 1000, int(until) / 1000)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _away() -> UpstreamUnavailable:
    metrics.redis_errors_total.inc()
    return UpstreamUnavailable("Redis did not answer in time.", retry_after_seconds=1)
