"""Positions in lists of a viewer's own, ordered by an instant and an id, newest first."""

from __future__ import annotations

from typing import Any

from models.playback.documents import instant

Place = tuple[int, str]  # milliseconds of the instant, and the id


def match_older(field: str, place: Place) -> list[dict[str, Any]]:
    """Build the branches that match strictly after the place, by the instant's field."""
    at = instant(place[0])
    return [{field: {"$lt": at}}, {field: at, "_id": {"$lt": place[1]}}]


def match_newer(field: str, place: Place) -> list[dict[str, Any]]:
    """Build the branches that match the place itself and all before it."""
    at = instant(place[0])
    return [{field: {"$gt": at}}, {field: at, "_id": {"$gte": place[1]}}]
