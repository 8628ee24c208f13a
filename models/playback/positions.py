"""Positions in lists of a viewer's own, ordered by an instant and an id, newest first."""

from __future__ import annotations

from typing import Any

from models.playback.documents import instant

Place = tuple[int, str]  # milliseconds of the instant, and the id


def match_side(
    field: str, place: Place, *, is_newer: bool, includes_place: bool = False
) -> list[dict[str, Any]]:
    """Build the branches that match one side of a place, by the instant's field.

    Args:
        is_newer: the side that the list begins with.
        includes_place: also what is at the place itself.
    """
    at, beyond = instant(place[0]), "$gt" if is_newer else "$lt"
    id_beyond = f"{beyond}e" if includes_place else beyond
    return [{field: {beyond: at}}, {field: at, "_id": {id_beyond: place[1]}}]


def sort_by(field: str, *, is_newest_first: bool) -> list[tuple[str, int]]:
    """Build the order of a list, from its beginning or from its end."""
    direction = -1 if is_newest_first else 1
    return [(field, direction), ("_id", direction)]
