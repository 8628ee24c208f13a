"""What documents are found by: their names and description, folded anew whenever one changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from models.catalog.documents import Movie, Person, Show
from models.catalog.search_keys import SearchText, build_search_text, names_of
from models.mongo.base import StoredDocument

_NAMES: Mapping[type[StoredDocument], tuple[str, ...]] = {
    Movie: ("title", "original_title", "also_known_as"),
    Show: ("title", "original_title", "also_known_as"),
    Person: ("name",),
}
_BESIDE_NAMES = ("languages", "overview")
SEARCHED: Collection[type[StoredDocument]] = tuple(_NAMES)


def searched_fields(document: type[StoredDocument]) -> tuple[str, ...]:
    """Fields that a document is found by; none of one that is not searched."""
    names = _NAMES.get(document, ())
    return (*names, *(name for name in _BESIDE_NAMES if names and name in document.model_fields))


def is_searched_by(document: type[StoredDocument], fields: Iterable[str]) -> bool:
    """Whether documents of this class are found by any of these fields."""
    return not set(searched_fields(document)).isdisjoint(fields)


def search_text_of(document: type[StoredDocument], row: Mapping[str, Any]) -> SearchText:
    """Build what is stored to find a document of these values by."""
    languages = row.get("languages") or ()
    # People have a biography, but are known by their names alone.
    return build_search_text(
        names_of(row, _NAMES[document]), list(languages)[:1], row.get("overview")
    )
