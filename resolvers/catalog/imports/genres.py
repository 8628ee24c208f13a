"""Genres by slug: one spelling whatever the source, so that imports share them."""

from __future__ import annotations

import re
import unicodedata

import models
from models.mongo import ids

_KNOWN = """
    action adventure animation biography comedy crime documentary drama experimental family fantasy
    film-noir history horror music musical mystery romance science-fiction short sport thriller war
    western
"""
NAMES = {slug: slug.replace("-", " ").title() for slug in _KNOWN.split()} | {"imax": "IMAX"}
_SPELLINGS = {"sci-fi": "science-fiction", "children": "family", "children-s": "family"}


def slug_of(name: str) -> str:
    """ "Sci-Fi" as science-fiction; an unknown genre gets a slug of its own; "" names none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60]
    return _SPELLINGS.get(slug, slug)


def document(slug: str) -> models.Genre:
    """Build the genre with this slug."""
    name = NAMES.get(slug) or slug.replace("-", " ").title()
    return models.Genre(id=ids.of_genre(slug), slug=slug, name=name)
