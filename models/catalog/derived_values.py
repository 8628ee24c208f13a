"""Values made of a title's other fields whenever those are written: sort values and facets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models.catalog.facets import FACET_SOURCES, facets_of
from models.catalog.sort_values import SORT_SOURCES, SORT_VALUES, sort_values
from models.mongo.base import StoredDocument

Row = Mapping[str, Any]


def derived_names(document: type[StoredDocument]) -> set[str]:
    """Names of the document's derived fields; none of one that is no title."""
    return {"facets", *SORT_VALUES}.intersection(document.model_fields)


def derived_sources(document: type[StoredDocument]) -> set[str]:
    """Names of the fields that those are made of."""
    if not derived_names(document):
        return set()
    return {*SORT_SOURCES, *FACET_SOURCES}.intersection(document.model_fields)


def is_derived_from(document: type[StoredDocument], names: Iterable[str]) -> bool:
    """Whether a change of these fields changes derived ones."""
    return not derived_sources(document).isdisjoint(names)


def derive_values(document: type[StoredDocument], row: Row) -> dict[str, Any]:
    """Build the derived values of a document from its stored ones."""
    names = derived_names(document)
    values = {**sort_values(row), "facets": facets_of(row)} if names else {}
    return {name: values[name] for name in values if name in names}
