"""Public types of the catalogue."""

from graph.catalog import (
    cache_admin,
    catalog,
    categories,
    edits,
    images,
    inputs,
    search,
    shows,
)
