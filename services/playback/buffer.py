"""Progress as Redis has it, ahead of MongoDB: written by one Lua call, read by one pipeline.

Promise: what was acknowledged is in Redis without expiry, and in a stream, until a worker has
flushed it; the stamp of a (user, title) only grows. Redis away or full is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from services.errors import SessionNotFound, TooManyStreams, UpstreamUnavailable
from services.playback import changes as progress_changes
from services.playback.changes import (
    MOST_CHANGES,
    ChangeResult,
    Mark,
    OfflineEvent,
    PackedValues,
    ScriptChange,
)
from services.playback.conflict_rule import beyond_end_error
from services.playback.keys import ProgressKeys, ReportKeys
from services.playback.offline_viewings import infer_viewings, pack_viewings
from services.playback.progress_scripts import progress_script
from services.playback.state import (
    Base,
    BufferedProgress,
    BufferReply,
    Report,
    ReportOutcome,
    Rules,
    decode_progress,
    pack_state,
    validate_seconds,
)
from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry import metrics

_REPORT = progress_script("report_progress")
_CHANGE = progress_script("change_progress")
_READ = progress_script("read_progress")
_UNFLUSHED = Script("playback", "unflushed_progress")
UNFLUSHED_TITLES = 500  # of one user; a flush lag holds a handful, a marked show its episodes
_EVENTS_REMEMBERED = 2000  # of one user: the four largest batches; older repeats lose by their time
_EVENTS_REMEMBERED_MS = 30 * 86400 * 1000
_NO_SESSION, _NO_BASE, _FULL, _BEYOND = 0, 1, 2, 3
_NO_BASES: Mapping[str, Base] = MappingProxyType({})
_REPORT_OUTCOMES = (ReportOutcome.REPEATED, ReportOutcome.APPLIED, ReportOutcome.UNCHANGED)


class ProgressBuffer:
    """Progress of all users in Redis, one object per process."""

    def __init__(
        self,
        redis: RedisLink,
        keys: ProgressKeys,
        *,
        session_seconds: int,
        shard_entries: int,
        rules: Rules,
    ) -> None:
        self.rules = rules
        self._redis = redis
        self._keys = keys
        self._shard_entries = shard_entries
        self._limits = (session_seconds, shard_entries)
        self._completion = (rules.completed_percent, rules.completed_least_seconds)
        self._ownership = (
            round(rules.short_session_seconds * 1000),
            round(rules.hold_seconds * 1000),
        )

    async def report(
        self, user_id: str, report: Report, now_ms: int, base: Base | None = None
    ) -> BufferReply:
        """Apply one report if its sequence is new and its session may move the position.

        Otherwise it returns the stored progress: UNCHANGED, or REPEATED.

        Raises:
            SessionNotFound: no such session, or another user's.
            TooManyStreams: it was silent, and others play in its place.
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
            ValidationFailed: the position or the duration cannot be.
        """
        validate_seconds(report.position_seconds, report.duration_seconds)
        keys = self._keys.of_report(user_id, report.session_id)
        if not self._redis.guard.allows_writes():  # a full Redis still reads
            raise UpstreamUnavailable("Redis did not answer in time.", retry_after_seconds=1)
        try:
            answer = await self._redis.scripts.call(
                _REPORT, 3, *keys.keys, *self._pack_report(user_id, report, now_ms, base, keys)
            )
        except UpstreamUnavailable:
            _FAILED.inc()
            raise
        reported = self._decode_reply(user_id, answer)
        _COUNTERS[reported.outcome.text].inc()
        return reported

    async def apply_offline(
        self,
        user_id: str,
        events: Sequence[OfflineEvent],
        now_ms: int,
        bases: Mapping[str, Base] = _NO_BASES,
    ) -> ChangeResult:
        """Apply offline events, earliest first; outcomes come in the order of `events`.

        Viewings are inferred from them for the history; one is written if an event of it is new.

        Event ids are remembered for 30 days, the newest 2,000 of a user; a repeat beyond that
        is not later than the stored state, so it moves nothing. At most MOST_CHANGES at once.

        Raises:
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
            ValidationFailed: a position or a duration cannot be.
        """
        order = sorted(range(len(events)), key=lambda index: events[index].at_ms)
        changes = [progress_changes.offline_change(events[index]) for index in order]
        stored = {title: base.state for title, base in bases.items()}
        viewings = infer_viewings(user_id, events, stored, self.rules)
        packed_viewings = pack_viewings(viewings, order)
        changed = await self._change(user_id, changes, now_ms, bases, packed_viewings)
        if changed.needed:
            return changed
        outcomes = dict(zip(order, changed.outcomes, strict=True))
        return changed._replace(outcomes=[outcomes[index] for index in range(len(events))])

    async def set_watched(
        self,
        user_id: str,
        marks: Sequence[Mark],
        *,
        watched: bool,
        now_ms: int,
        bases: Mapping[str, Base] = _NO_BASES,
    ) -> ChangeResult:
        """Mark up to MOST_CHANGES titles as watched or unwatched; UNCHANGED: it was so already.

        Unwatched forgets position and furthest position, and of offline events those before it; it
        keeps `watch_count`.

        Raises:
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
            ValidationFailed: a duration cannot be.
        """
        changes = [progress_changes.mark_change(mark, watched=watched) for mark in marks]
        return await self._change(user_id, changes, now_ms, bases)

    async def dismiss(
        self, user_id: str, playable_id: str, now_ms: int, base: Base | None = None
    ) -> ChangeResult:
        """Set `dismissed_at_ms` until a report moves the position; the position stays.

        Raises:
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
        """
        bases = {playable_id: base} if base is not None else _NO_BASES
        change = progress_changes.dismissal_change(playable_id, now_ms)
        return await self._change(user_id, [change], now_ms, bases)

    async def reconcile(
        self, user_id: str, playable_id: str, base: Base, now_ms: int
    ) -> ChangeResult:
        """Merge progress written to MongoDB past Redis; repeating it changes nothing.

        The newer stamp wins; furthest position and watch count are the larger.

        Raises:
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
        """
        change = progress_changes.reconcile_change(playable_id, base.version, base.state)
        return await self._change(user_id, [change], now_ms, {playable_id: base})

    async def read_many(
        self, user_id: str, playable_ids: Collection[str]
    ) -> dict[str, BufferedProgress | None]:
        """Read these titles from Redis in one call; None: nothing was ever reported.

        Titles that Redis does not hold are absent: ask MongoDB, as for those not verified.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        if not playable_ids:
            return {}
        keys = [self._keys.progress(user_id, playable_id) for playable_id in playable_ids]
        rows = await self._redis.scripts.call(_READ, len(keys), *keys)
        return {
            playable_id: decode_progress(user_id, playable_id, *row)
            for playable_id, row in zip(playable_ids, rows, strict=True)
            if row[0] is not None and (int(row[0]) or row[3])
        }

    async def list_unflushed(self, user_id: str) -> list[BufferedProgress]:
        """List the user's progress that MongoDB may not have yet, newest first.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        before, after = self._keys.progress(user_id, "\0").split("\0")
        rows = await self._redis.scripts.call(
            _UNFLUSHED, 1, self._keys.unflushed(user_id), before, after, UNFLUSHED_TITLES
        )
        decoded = (decode_progress(user_id, row[0].decode(), *row[1:]) for row in rows)
        return [progress for progress in decoded if progress is not None]

    async def _change(
        self,
        user_id: str,
        changes: Sequence[ScriptChange],
        now_ms: int,
        bases: Mapping[str, Base],
        viewings: Sequence[PackedValues] = (),
    ) -> ChangeResult:
        if len(changes) > MOST_CHANGES:
            raise ValueError(f"{len(changes)} changes at once: at most {MOST_CHANGES}")
        if not changes:
            return ChangeResult([], [], {})
        titles = progress_changes.list_titles(changes)
        keys, shard = self._keys, self._keys.shard(user_id)
        packed = _packer.encode(
            (
                user_id, now_ms, self._shard_entries, keys.changed(shard), *self._completion,
                _EVENTS_REMEMBERED, _EVENTS_REMEMBERED_MS,
                progress_changes.pack_titles(titles, bases),
                progress_changes.pack_changes(titles, changes), viewings,
            )
        )  # fmt: skip
        answer = await self._redis.scripts.call(
            _CHANGE, 3 + len(titles),
            keys.unflushed(user_id), keys.offline_events(user_id), keys.stream(shard),
            *(keys.progress(user_id, title) for title in titles),
            packed,
        )  # fmt: skip
        if answer[0] == _FULL:
            raise _full_error()
        return progress_changes.decode_changes(user_id, titles, answer)

    def _pack_report(
        self, user_id: str, report: Report, now_ms: int, base: Base | None, keys: ReportKeys
    ) -> tuple[bytes, ...]:
        version = base.version if base is not None else None
        session_id, sequence, position, duration, state, quality, seeked = report
        packed = _packer.encode(
            (
                user_id, session_id, sequence, position, duration or 0, state, quality, seeked,
                now_ms, version, *self._limits, keys.changed, *self._completion, *self._ownership,
            )
        )  # fmt: skip
        return (packed, pack_state(base.state)) if base is not None else (packed,)

    def _decode_reply(self, user_id: str, answer: Any) -> BufferReply:
        if not isinstance(answer, int):
            outcome, playable_id, *row = answer
            progress = decode_progress(user_id, playable_id.decode(), *row)
            return BufferReply(_REPORT_OUTCOMES[outcome], progress)
        if answer == _NO_SESSION:
            _UNKNOWN.inc()
            raise SessionNotFound("There is no such playback session: start playback again.")
        if answer == _FULL:
            _FAILED.inc()
            raise _full_error()
        if answer == _NO_BASE:
            return BufferReply(ReportOutcome.BASE_NEEDED, None)
        if answer == _BEYOND:
            raise beyond_end_error(["positionSeconds"])
        _REFUSED.inc()
        raise TooManyStreams.of(-answer)


def _full_error() -> UpstreamUnavailable:
    return UpstreamUnavailable(
        "Too much progress waits to be stored; try again.", retry_after_seconds=10
    )


_FAILED = metrics.progress_reports_total.labels("failed")
_REFUSED = metrics.progress_reports_total.labels("too_many_streams")
_UNKNOWN = metrics.progress_reports_total.labels("session_not_found")
_COUNTERS = {
    outcome.text: metrics.progress_reports_total.labels(outcome.text) for outcome in ReportOutcome
}
_packer = msgspec.msgpack.Encoder()
