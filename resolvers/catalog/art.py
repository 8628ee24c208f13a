"""Generated pictures for titles without pictures of their own; films and shows, by id."""

from __future__ import annotations

import loaders
import models
from models.mongo import ids
from resolvers.context import Context
from services.media import art


async def poster(context: Context, title_id: str) -> str | None:
    """An SVG of 500 x 750, or None if no title has this id."""
    subject = await _subject(context, title_id)
    return art.draw_poster(subject) if subject else None


async def backdrop(context: Context, title_id: str) -> str | None:
    """An SVG of 1280 x 720, or None if no title has this id."""
    subject = await _subject(context, title_id)
    return art.draw_backdrop(subject) if subject else None


async def _subject(context: Context, title_id: str) -> art.Subject | None:
    title: models.TitleRecord | None = await context.load(loaders.TitleById, title_id)
    if title is None:
        return None
    genre = next(iter(title.genre_ids), "").removeprefix(ids.of_genre("")) or None
    return art.Subject(title.id, title.title, title.year, genre)
