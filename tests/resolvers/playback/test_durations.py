"""The length of a title is that of our own copy, where there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import marks, reports, sessions
from resolvers.runtimes.sources import Media
from services.media.library import DEMO, MediaLibrary
from tests.support import films_on_disk
from tests.support.playback_fixtures import (
    PHONE,
    RUNTIME_SECONDS,
    build_offline_report,
    film,
    start_new_session,
    viewer_of,
)
from tests.support.runtimes import with_changes

COPY_SECONDS = 120.0


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A library that has a clip for every title, and no film yet."""
    films_on_disk.store(tmp_path, DEMO, films_on_disk.film(duration_seconds=10.0))
    return tmp_path


@pytest.fixture
async def ada(runtime: Runtime, folder: Path) -> AsyncIterator[Context]:
    library = MediaLibrary(folder, fallback=DEMO)
    media = replace(runtime.sources.media, library=library)
    assert isinstance(media, Media)
    yield viewer_of(with_changes(runtime, sources={"media": media}))
    library.close()


async def own_copy(folder: Path, runtime_seconds: int | None) -> str:
    """A film on disk, and what the catalogue thinks of its length."""
    title = await film()
    films_on_disk.store(folder, title, films_on_disk.film(duration_seconds=COPY_SECONDS))
    await models.Movie.get_pymongo_collection().update_one(
        {"_id": title}, {"$set": {"runtime_seconds": runtime_seconds}}
    )
    return title


async def report(
    context: Context, session_id: str, seconds: float, sequence: int = 0
) -> models.LiveProgress:
    progress = (await reports.report_progress(context, session_id, sequence, seconds)).progress
    assert progress is not None
    return progress


@pytest.mark.parametrize("runtime_seconds", [60, 7200, None])
async def test_a_place_in_our_own_copy_is_bounded_by_the_copy(
    ada: Context, folder: Path, runtime_seconds: int | None
) -> None:
    # given a copy that is longer, shorter, or the only thing that is known
    title = await own_copy(folder, runtime_seconds)
    session_id = await start_new_session(ada, title)
    # when it is watched
    midst = await report(ada, session_id, 100.0)
    end = await report(ada, session_id, 119.5, sequence=1)
    # then the place is kept, and the end is the copy's
    assert (midst.position_seconds, midst.duration_seconds, midst.completed) == (100, 120, False)
    assert (end.position_seconds, end.duration_seconds, end.completed) == (119.5, 120, True)


async def test_what_an_earlier_session_was_told_gives_way_to_the_copy(
    ada: Context, folder: Path
) -> None:
    # given a place that was stored before there was a copy
    title = await film()
    await report(ada, await start_new_session(ada, title), 50.0)
    films_on_disk.store(folder, title, films_on_disk.film(duration_seconds=COPY_SECONDS))
    # when it is started again
    session = (await sessions.start_playback(viewer_of(ada.runtime), title, PHONE)).session
    assert (session.position_seconds, session.duration_seconds) == (50.0, COPY_SECONDS)


async def test_the_clip_of_every_title_is_nobodys_own_copy(ada: Context) -> None:
    title = await film()
    session = (await sessions.start_playback(ada, title, PHONE)).session
    assert session.duration_seconds == RUNTIME_SECONDS


async def test_offline_events_and_marks_know_the_copy_as_well(ada: Context, folder: Path) -> None:
    title = await own_copy(folder, None)
    offline = await build_offline_report(ada, title, 119.5, ago=60)
    assert (offline.duration_seconds, offline.completed) == (COPY_SECONDS, True)
    await marks.mark_unwatched(ada, title)
    marked = (await marks.mark_watched(ada, title)).progress
    assert marked is not None
    assert (marked.position_seconds, marked.duration_seconds) == (COPY_SECONDS, COPY_SECONDS)
