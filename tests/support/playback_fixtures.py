"""What playback's tests share: viewers, films to watch, sessions that run."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import models
from models.mongo import ids
from resolvers.context import Context, Runtime, Viewer
from resolvers.playback import offline_batch, sessions

PHONE = models.Device(key="phone-1", name="Ada's phone", kind=models.DeviceKind.MOBILE)
PHONE_RECORD = models.DeviceRecord(key=PHONE.key, name=PHONE.name, kind=PHONE.kind)
RUNTIME_SECONDS = 6000


def viewer_of(runtime: Runtime, name: str = "ada") -> Context:
    user_id = ids.derive("user", name)
    viewer = Viewer(user_id, models.Role.USER, models.AccountTier.FREE, "login_1")
    return Context(runtime, viewer)


async def film(name: str = "arrival") -> str:
    movie = models.Movie(
        id=ids.derive("movie", name),
        title=name,
        sort_title=name,
        runtime_seconds=RUNTIME_SECONDS,
    )
    await movie.insert()
    return movie.id


async def start_new_session(context: Context, playable_id: str) -> str:
    """The id of a session that runs."""
    return (await sessions.start_playback(context, playable_id, PHONE)).session.id


async def build_offline_report(
    context: Context, playable_id: str, position_seconds: float, *, ago: float = 0
) -> models.LiveProgress:
    """A position reached so many seconds ago, without a session."""
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    event = offline_batch.OfflineReport(
        playable_id,
        PHONE.key,
        secrets.token_hex(8),
        position_seconds,
        None,
        now - timedelta(seconds=ago),
    )
    (progress,) = (await offline_batch.report_progress_batch(context, [event], now)).progress
    return progress


async def read_stored_progress() -> list[dict[str, object]]:
    return await models.ViewingProgress.get_pymongo_collection().find().to_list(None)


async def start_film(context: Context) -> tuple[str, str]:
    """A film and a session of it that runs: their ids."""
    title = await film()
    return title, await start_new_session(context, title)
