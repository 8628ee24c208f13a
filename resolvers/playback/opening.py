"""Opening and closing what playback has connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import models
from resolvers.runtimes import PlaybackRuntime
from services.errors import UpstreamUnavailable
from services.playback.buffer import ProgressBuffer
from services.playback.dead_letters import DeadLetters
from services.playback.keys import ProgressKeys
from services.playback.layout import ProgressLayout
from services.playback.notifications import ProgressNotifications
from services.playback.personal_keys import PersonalKeys
from services.playback.repairs import RepairFlag
from services.playback.sessions import SESSION_SECONDS, ViewingSessions
from services.playback.state import Rules
from services.playback.stream import ProgressStream
from services.redis import pool
from services.settings.settings import Settings
from services.telemetry.logs import get_logger
from services.telemetry.outages import is_store_away

log = get_logger("playback")


@asynccontextmanager
async def open_playback(settings: Settings, state: pool.Client) -> AsyncIterator[PlaybackRuntime]:
    """Open playback on `state`, a Redis that never evicts, and look for open repairs.

    Raises:
        StartupError: other processes lay progress out in another number of shards.
    """
    async with aclosing(ProgressNotifications(state, _keys(settings))) as notifications:
        playback = build_playback(settings, state, notifications)
        await _join_layout(playback.layout, settings)
        await _check_repairs(playback.repairs)
        yield playback


def build_playback(
    settings: Settings, state: pool.Client, notifications: ProgressNotifications
) -> PlaybackRuntime:
    """Build playback's stores; they share their client and have nothing to close."""
    keys = _keys(settings)
    dead_letters = DeadLetters(state, keys)
    return PlaybackRuntime(
        sessions=ViewingSessions(
            state, keys, heartbeat_seconds=settings.playback_heartbeat_seconds
        ),
        progress=ProgressBuffer(
            state,
            keys,
            session_seconds=SESSION_SECONDS,
            shard_entries=settings.progress_shard_entries,
            rules=_progress_rules(settings),
        ),
        stream=ProgressStream(state, keys, claim_idle_seconds=settings.progress_claim_idle_seconds),
        dead_letters=dead_letters,
        repairs=RepairFlag(),
        layout=ProgressLayout(state, settings.progress_shards, settings.redis_key_prefix),
        personal_keys=PersonalKeys(state, keys, dead_letters),
        notifications=notifications,
    )


def _keys(settings: Settings) -> ProgressKeys:
    return ProgressKeys(settings.progress_shards, settings.redis_key_prefix)


def _progress_rules(settings: Settings) -> Rules:
    """The rules of progress. A player holds its position for three missed heartbeats."""
    return Rules(
        completed_percent=settings.progress_completed_percent,
        completed_least_seconds=settings.progress_completed_least_seconds,
        short_session_seconds=settings.progress_short_session_seconds,
        hold_seconds=3 * settings.playback_heartbeat_seconds,
    )


async def _join_layout(layout: ProgressLayout, settings: Settings) -> None:
    """Refuse to start beside another layout; while Redis is away a worker looks later."""
    try:
        await layout.join()
    except UpstreamUnavailable:
        if not is_store_away():  # which is logged already
            log.warning("progress_layout_unchecked", shards=settings.progress_shards)


async def _check_repairs(flag: RepairFlag) -> None:
    """Look for open repairs before anything is read; from then on a worker does."""
    snapshot = flag.snapshot
    try:
        is_set = bool(await models.list_open_repairs(1))
    except UpstreamUnavailable:
        is_set = True  # unknown: reads compare
    flag.update(snapshot, is_set=is_set)
