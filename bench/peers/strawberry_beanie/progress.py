"""reportProgress in the shared shape: one Redis hash, no session rules."""

from __future__ import annotations

import enum
import os
import time

import strawberry
from redis.asyncio import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])


@strawberry.enum
class PlaybackState(enum.Enum):
    PLAYING = "PLAYING"
    PAUSED = "PAUSED"
    BUFFERING = "BUFFERING"
    STOPPED = "STOPPED"
    EXPIRED = "EXPIRED"


@strawberry.enum
class ErrorCode(enum.Enum):
    VALIDATION_FAILED = "VALIDATION_FAILED"
    NOT_FOUND = "NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"


@strawberry.input
class ReportProgressInput:
    session_id: strawberry.ID
    sequence: int
    position_seconds: float
    duration_seconds: float | None = None
    state: PlaybackState = PlaybackState.PLAYING
    seeked: bool | None = False


@strawberry.type
class ViewingProgress:
    position_seconds: float
    percent: float


@strawberry.type
class UserError:
    code: ErrorCode
    message: str


@strawberry.type
class ProgressPayload:
    progress: ViewingProgress | None
    applied: bool
    errors: list[UserError]


async def save_progress(report: ReportProgressInput) -> ProgressPayload:
    duration = report.duration_seconds or 0.0
    fields: dict[str, str] = {
        "sequence": str(report.sequence),
        "position": str(report.position_seconds),
        "duration": str(duration),
        "at": str(time.time_ns() // 1_000_000),
    }
    await redis.hset(f"bench:progress:{report.session_id}", mapping=fields)
    percent = 100 * report.position_seconds / duration if duration else 0.0
    progress = ViewingProgress(position_seconds=report.position_seconds, percent=percent)
    return ProgressPayload(progress=progress, applied=True, errors=[])
