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
_NO_NAMES = frozenset(
    ("", "-", "\\n", "n/a", "na", "nan", "nil", "none", "null", "unknown", "(no genres listed)")
)  # as databases and spreadsheets write a missing value


def slug_of(name: str) -> str:
    """ "Sci-Fi" as science-fiction; an unknown genre gets a slug of its own; "" names none.

    Accents are dropped; other scripts are encoded as in domain names ("xn--...", RFC 3492), because
    ids are ASCII.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    if text.strip() in _NO_NAMES:
        return ""
    plain = _drop_accents(text)
    slug = re.sub(r"[\W_]+", "-", plain).strip("-")
    if not slug.isascii():
        slug = "xn--" + slug.encode("punycode").decode()
    return _SPELLINGS.get(slug, slug[:60].strip("-"))


def document(name: str) -> models.Genre:
    """Build the genre of this name, or of this slug."""
    slug = slug_of(name)
    return models.Genre(id=ids.of_genre(slug), slug=slug, name=NAMES.get(slug) or _display(name))


def _drop_accents(text: str) -> str:
    """The text without combining marks, where plain Latin letters are left."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return plain if plain.isascii() or "".join(filter(str.isalnum, plain)).isascii() else text


def _display(name: str) -> str:
    """The name as its source writes it; one in lower case, such as a slug, with capitals."""
    text = " ".join(name.split())
    return text.replace("-", " ").title() if text == text.lower() else text
